"""Lecture 5: models of several kinds of input at once."""
