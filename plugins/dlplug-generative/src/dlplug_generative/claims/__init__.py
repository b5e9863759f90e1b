"""The testable sentences of lecture 4, measured: a module for each part of it."""
