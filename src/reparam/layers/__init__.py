"""Layers with noise as an argument."""
