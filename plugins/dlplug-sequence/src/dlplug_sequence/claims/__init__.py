"""Sentences of lecture 2, measured, a file a topic."""
