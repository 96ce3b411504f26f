"""Backbones, hypercolumns and heads; no Lightning here."""
