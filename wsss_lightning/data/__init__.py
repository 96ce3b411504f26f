"""Data sets: readers, palette PNGs, tags, data modules."""

import os

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # else its import asks the network for a newer version
