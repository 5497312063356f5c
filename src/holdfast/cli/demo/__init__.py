"""`holdfast demo`."""

def demo() -> None:
    """x"""
