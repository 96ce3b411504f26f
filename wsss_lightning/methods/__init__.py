"""One package per paper: only what is new in it."""
