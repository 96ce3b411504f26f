"""Stages of points alone."""
