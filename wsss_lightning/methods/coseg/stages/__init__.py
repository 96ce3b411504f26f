"""Stages of coseg alone."""
