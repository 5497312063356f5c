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

from dotpromptz_handlebars._render import _call, _is_quoted, _number, _parse, _parts, _tokens, render_program
from dotpromptz_handlebars._types import Block, Mustache, TagToken, Text

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
_CLOSING, _TRIPLE, _LONG_COMMENT = re.compile(r"\}\}"), re.compile(r"\}~?\}\}"), re.compile(r"--~?\}\}")
_NO_PLACE = ("!", "#", "^", "/", ">", "*")
_ELSE = re.compile(r"else(?: |\Z)")
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
            return HandlebarsTemplate(_parse([*_with_sources(text, _tokens(text))], max_depth=_DEPTH), places)
        except HoldfastError:
            raise
        except Exception as problem:
            raise refused(problem) from problem


class _Source(str):
    """How a place was written: a text that stands before it in what the library reads, and nowhere else."""

    __slots__ = ()


def _with_sources(text: str, tokens: list[TagToken | str]) -> Iterator[TagToken | str]:
    """The tokens, and before each that is a mark what of the text it was."""
    place = 0
    for token in tokens:
        if isinstance(token, TagToken):
            begins, place = _span(text, place, token)
            if not token.body.startswith(_NO_PLACE) and _ELSE.match(token.body) is None:
                yield _Source(text[begins:place])
        yield token


def _span(text: str, after: int, token: TagToken) -> tuple[int, int]:
    """Where the mark of a token begins and ends: it is the first one after that place."""
    if token.raw_block and token.body.startswith("/"):
        closing = "{{{{" + token.body + "}}}}"
        begins = text.index(closing, after)
        return begins, begins + len(closing)
    begins = text.index("{{", after)
    while _is_escaped(text, begins):  # taken for text
        begins = text.index("{{", begins + 2)
    if token.raw_block:
        return begins, text.index("}}}}", begins + 4) + 4
    is_long = token.body.startswith("!--")
    closing_ = _LONG_COMMENT if is_long else _TRIPLE if token.triple else _CLOSING
    closed = closing_.search(text, text.index("!--", begins) + 3 if is_long else begins + 2)
    assert closed is not None
    return begins, closed.end()


def _is_escaped(text: str, place: int) -> bool:
    return text.endswith("\\", 0, place) and not text.endswith("\\\\", 0, place)


class HandlebarsTemplate:
    """See `Compiled`."""

    def __init__(self, program: list[Any], places: int) -> None:
        self._places = places
        self._named: list[tuple[str, str]] = []
        self._paths: dict[Path, None] = {}
        *sources, last = program or [None]
        single = all(_is_source(node) for node in sources) and isinstance(last, Mustache) and not last.call["args"]
        self._single: Path | None = _path(last.call["name"]) if single else None
        self._program = self._prepared(program)
        self.paths: Sequence[Path] = tuple(self._paths)
        """See `Compiled.paths`; of a name within a block the item may have it."""

    def render(self, values: Mapping[str, Any], missing: Missing) -> str:
        """See `Compiled.render`. What is null counts as missing."""
        fuel = Fuel(self._places)

        def show(args: list[Any], _: object) -> str:
            value, place = args
            path, written = self._named[place]
            text = kept(path, missing, written=written) if value is None else as_text(value)
            fuel.text(len(text))
            return text

        def enter(args: list[Any], _: object) -> str:
            fuel.round()
            fuel.text(args[0])
            return ""

        def lookup(args: list[Any], _: object) -> Any:
            collection, key = (*args, None, None)[:2]
            fuel.look(collection)  # the library has copied it
            value = found(collection, (key,)) if type(key) in (str, int) else ABSENT
            return None if value is ABSENT else value

        try:
            return render_program(
                self._program,
                dict(values),
                data=None,
                helpers={_SHOW: show, _ENTER: enter, _LOOKUP: lookup},
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
        texts = [node.value for node in nodes if isinstance(node, Text) and not _is_source(node)]
        prepared: list[Any] = [_helper(_ENTER, str(sum(map(len, texts))))]
        source = ""
        for node in nodes:
            if _is_source(node):
                source = node.value
            elif isinstance(node, Mustache):
                prepared.append(self._place(node.call, source))
            elif isinstance(node, Block):
                self._note(node.call, block=True)
                prepared.append(Block(node.call, self._prepared(node.body), self._prepared(node.inverse)))
            elif isinstance(node, Text):
                prepared.append(node)
            else:
                raise TemplateError("partials and decorators are not for templates of variables")
        return prepared

    def _place(self, call: dict[str, Any], source: str) -> Mustache:
        self._note(call, block=False)
        written = " ".join([call["name"], *call["args"]])
        self._named.append((written, source))
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


def _is_source(node: object) -> bool:
    return isinstance(node, Text) and isinstance(node.value, _Source)


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
