"""Lecture 3: images, and the networks that see them."""
