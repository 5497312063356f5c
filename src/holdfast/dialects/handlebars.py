"""The dialect `handlebars`, read and filled in by dotpromptz-handlebars.

    {{name}} {{trip.days.[0]}}  {{#each items}}{{@index}}: {{this.name}}{{else}}none{{/each}}  {{#if paid}}…{{/if}}

Blocks `if`, `unless`, `each`, `with` and the helper `lookup`; nothing is escaped, for texts are prompts and not HTML.
The library looks names up in mappings and lists alone. Partials, inline ones too, decorators and other helpers are
refused. Before a template is kept, each of its places becomes a call of a helper of ours, which counts its text and
says what stands where there is nothing, and each block gets a mark at its head, which counts its rounds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dotpromptz_handlebars._render import _call, _is_quoted, _number, _parts, compile_template, render_program
from dotpromptz_handlebars._types import Block, Mustache, Text

from holdfast.dialects.dialect import (
    ABSENT,
    NESTED_MAX,
    Fuel,
    Missing,
    Path,
    as_text,
    check_marks,
    found,
    kept,
    places_of,
    refused,
)
from holdfast.errors import HoldfastError, TemplateError

_ESCAPED = re.compile(r"(?<!\\)\\\{\{")
_DEPTH = 2 * NESTED_MAX  # the library counts a block and what is in it
_WORDS = frozenset({"true", "false", "null", "undefined", "this", ".", ".."})
_BLOCKS = frozenset({"if", "unless", "each", "with"})
_SHOW, _ENTER, _LOOKUP = "$show", "$enter", "lookup"


class Handlebars:
    """The dialect."""

    def compile(self, text: str) -> HandlebarsTemplate:
        """See `Dialect.compile`."""
        places = places_of(text, "{{")
        check_marks(_ESCAPED.sub("   ", text))
        try:
            return HandlebarsTemplate(compile_template(text, max_depth=_DEPTH), places)
        except HoldfastError:
            raise
        except Exception as problem:
            raise refused(problem) from problem


class HandlebarsTemplate:
    """See `Compiled`."""

    def __init__(self, program: list[Any], places: int) -> None:
        self._places = places
        self._named: list[str] = []
        self._paths: dict[Path, None] = {}
        single = len(program) == 1 and isinstance(program[0], Mustache) and not program[0].call["args"]
        self._single: Path | None = _path(program[0].call["name"]) if single else None
        self._program = self._prepared(program)
        self.paths: Sequence[Path] = tuple(self._paths)
        """See `Compiled.paths`; of a name within a block the item may have it."""

    def render(self, values: Mapping[str, Any], missing: Missing) -> str:
        """See `Compiled.render`. What is null counts as missing."""
        fuel = Fuel(self._places)

        def show(args: list[Any], _: object) -> str:
            value, place = args
            text = kept(self._named[place], missing) if value is None else as_text(value)
            fuel.text(len(text))
            return text

        def enter(args: list[Any], _: object) -> str:
            fuel.round()
            fuel.text(args[0])
            return ""

        try:
            return render_program(
                self._program,
                dict(values),
                data=None,
                helpers={_SHOW: show, _ENTER: enter, _LOOKUP: _lookup},
                partials={},
                escape_html=False,
                strict=False,
                max_depth=_DEPTH,
            )
        except HoldfastError:
            raise
        except Exception as problem:
            raise refused(problem) from problem

    def value(self, values: Mapping[str, Any], missing: Missing) -> Any:
        """See `Compiled.value`."""
        if self._single is None:
            return self.render(values, missing)
        value = found(dict(values), self._single)
        if value is not ABSENT:
            return value
        return None if missing == "empty" else self.render(values, missing)

    def _prepared(self, nodes: list[Any]) -> list[Any]:
        """The nodes with what counts in them. Raises TemplateError for one that is not for templates of variables."""
        prepared: list[Any] = [_helper(_ENTER, str(sum(len(node.value) for node in nodes if isinstance(node, Text))))]
        for node in nodes:
            if isinstance(node, Mustache):
                prepared.append(self._place(node.call))
            elif isinstance(node, Block):
                self._note(node.call, block=True)
                prepared.append(Block(node.call, self._prepared(node.body), self._prepared(node.inverse)))
            elif isinstance(node, Text):
                prepared.append(node)
            else:
                raise TemplateError("partials and decorators are not for templates of variables")
        return prepared

    def _place(self, call: dict[str, Any]) -> Mustache:
        self._note(call, block=False)
        written = " ".join([call["name"], *call["args"]])
        self._named.append(written)
        return _helper(_SHOW, f"({written})" if call["args"] else call["name"], str(len(self._named) - 1))

    def _note(self, call: dict[str, Any], *, block: bool) -> None:
        """Note what a call names; raises TemplateError for that of a helper."""
        name, args = call["name"], [*call["args"], *call["hash"].values()]
        is_call = bool(args) or call["literal"]
        if name in (_SHOW, _ENTER) or (is_call and name not in (_BLOCKS if block else {_LOOKUP})):
            raise TemplateError(f"there is no {'block' if block else 'helper'} {name[:80]!r}", name=name[:80])
        for token in args if is_call or name in _BLOCKS else [name]:
            if token.startswith("("):
                self._note(_call(token[1:-1].strip()), block=False)
            elif path := _path(token):
                self._paths[path] = None


def _helper(name: str, *args: str) -> Mustache:
    return Mustache({"name": name, "args": list(args), "hash": {}, "params": [], "literal": False}, raw=True)


def _path(token: str) -> Path:
    """The path that a token names; none of one that is no path, or one of the library's own."""
    if token.startswith("@") or _is_quoted(token) or _number(token) is not None:
        return ()
    return tuple(_steps(_parts(token)))


def _steps(parts: list[str]) -> Iterator[str]:
    begun = False
    for part in parts:
        begun = begun or part not in _WORDS
        if begun and part not in (".", "this"):
            yield part


def _lookup(args: list[Any], _: object) -> Any:
    collection, key = (*args, None, None)[:2]
    value = found(collection, (key,)) if type(key) in (str, int) else ABSENT
    return None if value is ABSENT else value
