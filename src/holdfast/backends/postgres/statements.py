"""The statements as they are sent: those of the .sql files, with the schema's name in its place."""

from __future__ import annotations

from functools import cache
from importlib import resources

FUNCTIONS = ("read", "commit", "sweep", "purge", "rewrite")
"""The files of functions, in the order in which they may be made."""


@cache
def script(name: str, schema: str) -> str:
    """A .sql file of this package, for one schema."""
    return placed(resources.files(__package__).joinpath(f"{name}.sql").read_text("utf-8"), schema)


@cache
def placed(statement: str, schema: str) -> str:
    """A statement written for the schema `holdfast`, for another one, whose name `settings_of` has let through."""
    if schema == "holdfast":
        return statement
    return statement.replace("holdfast.", f"{schema}.").replace("EXISTS holdfast;", f"EXISTS {schema};")
