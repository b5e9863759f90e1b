"""The sentences of sections 3, 3.1 and 5.3 about images, measured, a file a subject."""
