"""One verb over several nouns or scopes, one file. Operations take a unit of work and do not know each other."""
