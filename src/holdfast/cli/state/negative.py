"""Negative numbers as arguments: `-5` is a value, not an option."""

from __future__ import annotations

import re
from typing import Any

from typer.core import TyperCommand

NUMBER = re.compile(r"-[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")

MARK = "\0"
"""Stands before a number while options are told from arguments. No argument of a process can hold it."""


class TakesNegativeNumbers(TyperCommand):
    """A command that reads `-5` as an argument. Any other unknown option is still a mistake."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Tell options from arguments."""
        takes_value = {
            name for param in self.params if not getattr(param, "is_flag", True) for name in getattr(param, "opts", ())
        }
        marked = [
            MARK + arg if NUMBER.fullmatch(arg) and before not in takes_value else arg
            for before, arg in zip(["", *args], args, strict=False)
        ]
        rest = super().parse_args(ctx, marked)
        for name, value in ctx.params.items():
            if isinstance(value, str):
                ctx.params[name] = value.removeprefix(MARK)
        return rest
