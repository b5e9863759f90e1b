"""One model a file, and the base class that they share."""
