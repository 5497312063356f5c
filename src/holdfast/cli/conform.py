"""`holdfast conform`."""


def conform() -> None:
    """x"""
