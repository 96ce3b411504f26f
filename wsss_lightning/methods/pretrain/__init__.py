"""Not a paper: how the weights of the `tiny` backbone are made."""
