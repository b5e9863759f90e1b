"""One model a file, and what several share."""
