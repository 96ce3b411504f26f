"""Stages of patches alone."""
