"""Stages of pretrain alone."""
