"""The shipped kit: the guarantees, the checks that prove them, and what is needed to run them on any kernel."""
