"""Built-in foreground/background and multi-class priors (priors)."""
