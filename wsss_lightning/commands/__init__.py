"""Subcommands of `wsss`, one file each; what costs time to import is imported inside the function that needs it."""
