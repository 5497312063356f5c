"""How a store is reached: the server's address and what the URL's options say."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import parse_qsl, unquote, urlsplit

from msgspec import Struct

from holdfast.errors import InvalidValue, shown
from holdfast.kernel.limits import Durability

PORT = 5432
"""Where a server listens that says nothing else."""

_SCHEMA = re.compile(r"[a-z_][a-z0-9_]{0,62}")


class Settings(Struct, frozen=True):
    """Where a store is, and how to behave there.

    dsn                the address as the driver takes it, with whatever name and password it has; never shown
    shown              the address as errors show it
    schema             the schema that holds the tables; small letters, digits and underscores
    pool               connections for reading, at most; they are opened when needed
    timeout_s          how long to wait for the server to be reached (again)
    durability         what is owed at least: "fsync", "replicated", or "process", which does not wait for the disk;
                       None takes what the server gives
    statement_cache    prepared statements kept for each connection; 0 behind a pooler that moves sessions about
    """

    dsn: str
    shown: str
    schema: str = "holdfast"
    pool: int = 4
    timeout_s: float = 10.0
    durability: Durability | None = None
    statement_cache: int = 100

    @property
    def socket(self) -> str | None:
        """The file in which the server is looked for; None if that is no single folder."""
        parts = urlsplit(self.dsn)
        options = dict(parse_qsl(parts.query))
        host = options.get("host") or unquote(parts.netloc.rpartition("@")[2].partition(":")[0])
        is_folder = host.startswith("/") and "," not in host
        return f"{host}/.s.PGSQL.{options.get('port') or parts.port or PORT}" if is_folder else None

    def __repr__(self) -> str:
        return f"Settings({self.shown})"


OPTIONS = ("schema", "pool", "timeout", "durability", "statement_cache")
"""The options of a URL that are Holdfast's own; what else there is goes to the driver."""


def settings_of(dsn: str, shown_url: str, options: Mapping[str, str]) -> Settings:
    """The settings that a URL's own options ask for. Raises InvalidValue for one that it cannot be."""
    schema = options.get("schema", "holdfast")
    if not _SCHEMA.fullmatch(schema) or schema.startswith("pg_"):
        raise InvalidValue(f"schema must be small letters, digits and underscores, not {shown(schema)}", path="url")
    durability = options.get("durability")
    if durability not in (None, "fsync", "replicated", "process"):
        raise InvalidValue(f"durability must be fsync, replicated or process, not {shown(durability)}", path="url")
    return Settings(
        dsn,
        shown_url,
        schema,
        int(_number(options, "pool", 4, 1, 100)),
        _number(options, "timeout", 10.0, 0.01, 3600),
        durability,  # type: ignore[arg-type]
        int(_number(options, "statement_cache", 100, 0, 10_000)),
    )


def _number(options: Mapping[str, str], name: str, default: float, least: float, most: float) -> float:
    text = options.get(name)
    if text is None:
        return default
    try:
        number = float(text)
    except ValueError:
        number = -1
    if not least <= number <= most or (name != "timeout" and number != int(number)):
        raise InvalidValue(f"{name} must be a number from {least:g} to {most:g}, not {shown(text)}", path="url")
    return number
