"""Verbs with a content-addressed output folder: what a pipeline consists of."""
