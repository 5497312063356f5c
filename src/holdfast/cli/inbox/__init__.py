"""Commands about what runs ask people."""
