"""Commands about the state of any scope."""
