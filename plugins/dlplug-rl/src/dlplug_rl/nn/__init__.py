"""Layers, without Lightning."""
