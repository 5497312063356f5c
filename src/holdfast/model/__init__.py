"""What people hold: frozen structs, one noun per file. No I/O, no clock, no randomness."""
