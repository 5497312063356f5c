"""`holdfast doctor`."""


def doctor() -> None:
    """x"""
