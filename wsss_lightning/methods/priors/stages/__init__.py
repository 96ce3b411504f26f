"""Stages of priors alone."""
