"""Data sets: readers, palette PNGs, tags, data modules."""
