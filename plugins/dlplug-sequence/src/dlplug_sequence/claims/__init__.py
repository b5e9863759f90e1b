"""The sentences of lecture 2, measured, a file a section."""
