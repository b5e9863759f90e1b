"""Trained models for others: exported networks and model cards."""
