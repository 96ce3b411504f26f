"""The LSE patch segmenter (patches)."""
