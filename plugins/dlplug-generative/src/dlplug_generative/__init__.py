"""Lecture 4: models that learn what data is like, by making more of it."""
