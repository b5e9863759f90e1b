"""Lecture 6: models that learn to act."""
