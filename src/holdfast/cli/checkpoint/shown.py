"""A checkpoint as the command line prints it, and the arguments that its commands share."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import typer

from holdfast.model.checkpoint import Checkpoint

IdArgument = Annotated[str, typer.Argument(metavar="ID", help="The checkpoint's id.")]

COLUMNS = ("id", "label", "version", "at", "by", "cells", "bytes", "whole")
WHOLE = ("id", "version", "at")


def fields_of(checkpoint: Checkpoint) -> dict[str, Any]:
    """All that is told of it."""
    return msgspec.structs.asdict(checkpoint) | {"scope": str(checkpoint.scope)}
