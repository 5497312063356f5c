"""What a type checker sees of the blocking face is generated from what there is, and says what there is."""

from __future__ import annotations

import ast
import re

import pytest

from holdfast.sync.face import Face, face_of
from tests.typing import blocking_stub
from tests.typing.blocking_stub import COMMAND, STUB, Stub, Unclear
from tests.unit.sync.test_face import handles


def test_the_stub_of_the_blocking_face_is_what_the_generator_makes_today() -> None:
    same = STUB.read_text(encoding="utf-8") == Stub().text()
    assert same, f"{STUB.name} of holdfast.sync is not what the async classes are now: run `{COMMAND}` and commit it"


def test_the_stub_names_the_members_that_the_faces_have() -> None:
    """No member is invented, and none of an instance's own attributes is forgotten."""
    kinds = handles()
    for node in ast.parse(STUB.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef) and node.name != "Items":
            face = face_of(kinds[node.name])
            members = {one.name for one in node.body if isinstance(one, ast.FunctionDef)}
            assert {name for name in members if not hasattr(face, name)} == set(), node.name
            own = {name for name, one in vars(face).items() if not name.startswith("__") and one is not None}
            assert own - members - {"__slots__"} - set(dir(Face)) == set(), node.name


def test_the_command_stands_in_the_makefile() -> None:
    makefile = (blocking_stub.ROOT / "Makefile").read_text(encoding="utf-8")
    assert re.search(rf"^{COMMAND.split()[1]}:.*\n\t.*{blocking_stub.__name__}$", makefile, re.MULTILINE)


def test_what_the_generator_cannot_tell_it_says() -> None:
    """An attribute without a type, or a name that means two things, is an error that names it."""
    module = Stub().modules["holdfast.handles.session"]
    handle = blocking_stub.Handle(module, ast.parse("class A:\n  def f(self):\n    self.x = f()").body[0])  # type: ignore[arg-type]
    with pytest.raises(Unclear, match=r"A\.x"):
        list(blocking_stub.attributes(handle))
    stub = Stub()
    stub.resolve("T", module)
    module.assigned["T"] = ast.parse('T = TypeVar("T", bound=int)').body[0]
    with pytest.raises(Unclear, match="two things"):
        stub.resolve("T", module)


def test_a_name_that_means_something_else_already_is_imported_under_another_one() -> None:
    """An error and a type of one name, say."""
    stub, module = Stub(), Stub().modules["holdfast.handles.session"]
    assert stub.resolve("Any", module) == "Any"
    module.imports["Any"] = ("holdfast.model.claim", "Any")
    assert stub.resolve("Any", module) == "claim_Any"
    assert "from holdfast.model.claim import Any as claim_Any" in stub.imports
