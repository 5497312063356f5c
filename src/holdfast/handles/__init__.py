"""What people work with. A handle's method opens a unit of work, alone or the shared one of a transaction."""
