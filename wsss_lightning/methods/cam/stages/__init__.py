"""Stages of the plain method."""
