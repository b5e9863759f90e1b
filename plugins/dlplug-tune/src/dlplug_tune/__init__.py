"""Searches the options of models, on Optuna."""
