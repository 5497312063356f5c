"""`holdfast var`."""
