"""Trained models for others: exported networks, packages of weights, model cards."""
