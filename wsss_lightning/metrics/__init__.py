"""Confusion matrices and what is derived from them."""
