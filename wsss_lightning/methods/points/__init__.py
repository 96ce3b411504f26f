"""Diverse sampling for self-supervised segmentation (points)."""
