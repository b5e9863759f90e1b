"""Lecture 2: models that read and write sequences."""
