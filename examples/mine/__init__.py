"""An example of a package with things of its own for wsss_lightning."""
