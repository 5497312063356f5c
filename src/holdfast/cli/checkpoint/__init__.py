"""`holdfast checkpoint`: one command, one file."""
