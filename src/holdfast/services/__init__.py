"""One noun, one file: what each does on a unit of work. A service takes a unit, never opens one."""
