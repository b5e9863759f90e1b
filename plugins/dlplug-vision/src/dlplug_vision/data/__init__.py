"""Data modules, one source a file."""
