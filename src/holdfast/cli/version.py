"""Which version of Holdfast this is."""

from __future__ import annotations

import holdfast


def own_version() -> str | None:
    """The version the package says it has, else that of the installation; None for sources that say neither."""
    said = getattr(holdfast, "__version__", None)
    if isinstance(said, str):
        return said
    # Imported here: it costs as much as half of what `--version` takes.
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("holdfast")
    except PackageNotFoundError:
        return None
