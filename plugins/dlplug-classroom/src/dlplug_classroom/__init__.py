"""Assignments: models with bodies to write, and grades by the claims that ours must pass."""
