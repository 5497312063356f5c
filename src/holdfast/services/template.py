"""Templates of sessions: a cell each, in one global scope of the space."""

from __future__ import annotations

import msgspec

from holdfast.errors import Corrupt
from holdfast.kernel import codec
from holdfast.kernel.commit import Cell
from holdfast.kernel.keys import check_name
from holdfast.kernel.work import Work
from holdfast.model.template import Template, TemplateRecord, record_of, template_of

SCOPE = "global/templates"
"""Where all templates stand. State of that name is beside them, not among them."""

AREA = "template/"

_decoder = msgspec.json.Decoder(TemplateRecord)


def key_of(name: str) -> str:
    """The key of the template of that name; raises InvalidId."""
    return AREA + check_name(name, "the name of a template")


def decode(cell: Cell) -> Template:
    """The template in a cell."""
    try:
        return template_of(_decoder.decode(cell.value))
    except codec.UNREADABLE as problem:
        raise Corrupt(f"a template that cannot be read: {problem}") from problem


async def get(work: Work, name: str) -> Template | None:
    """The template of that name; None if there is none."""
    cell = await work.get(SCOPE, key_of(name))
    return None if cell is None else decode(cell)


async def everything(work: Work) -> list[Template]:
    """Every template, by name."""
    return [decode(cell) for cell in await work.all(SCOPE, AREA)]


def put(work: Work, template: Template) -> None:
    """Stage a template, in the place of the one of its name."""
    work.put(SCOPE, key_of(template.name), msgspec.json.encode(record_of(template)))


async def remove(work: Work, name: str) -> bool:
    """Stage the removal of a template; False if there is none."""
    key = key_of(name)
    if await work.get(SCOPE, key) is None:
        return False
    work.delete(SCOPE, key)
    return True
