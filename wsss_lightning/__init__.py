"""Weakly-supervised semantic segmentation from image tags."""

__version__ = "0.1.0"
