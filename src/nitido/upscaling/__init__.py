"""Applies a model to image files and folders of them, preserving their metadata."""
