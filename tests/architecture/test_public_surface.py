"""The public surface: what `holdfast.__all__` promises is there, complete, and documented."""

import ast
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import pytest

import holdfast
from tests.architecture.tree import ROOT, SRC, files, parse, write


def surface_findings(package: types.ModuleType) -> list[str]:
    """Where `__all__` and the public names of the package differ, and what in it lacks a docstring."""
    listed: list[str] = list(package.__all__)
    here = {name for name in dir(package) if not name.startswith("_")}
    here -= {name for name in here - set(listed) if isinstance(getattr(package, name), types.ModuleType)}
    findings = [f"{name} is listed twice" for name in sorted(set(listed)) if listed.count(name) > 1]
    findings += [f"{name} is public but not in __all__" for name in sorted(here - set(listed))]
    for name in sorted(set(listed)):
        if not hasattr(package, name):
            findings.append(f"{name} is in __all__ but cannot be imported")
        elif _needs_docstring(getattr(package, name)) and not _documented(getattr(package, name)):
            findings.append(f"{name} has no docstring of its own")
    return findings


def _needs_docstring(thing: object) -> bool:
    return isinstance(thing, type | types.FunctionType | types.ModuleType)


def _documented(thing: object) -> bool:
    # A class without a docstring must not pass with the one it inherits.
    text = vars(thing).get("__doc__") if isinstance(thing, type) else thing.__doc__
    return bool(text and text.strip())


def undocumented(root: Path) -> list[str]:
    """Every public module, class, function and method under root that has no docstring.

    Public means that no part of its path starts with an underscore and that it does not live inside a
    function; overloads, setters and methods marked `@override` take the docstring of what they belong to.
    """
    findings = []
    for path in files(root, ".py"):
        parts = path.relative_to(root).with_suffix("").parts
        if any(part.startswith("_") and part not in {"__init__", "__main__"} for part in parts):
            continue
        tree = parse(path)
        if tree.body and ast.get_docstring(tree) is None:
            findings.append(f"{path.relative_to(root)}: the module")
        findings += [
            f"{path.relative_to(root)}:{node.lineno} {node.name}"
            for node in _public(tree)
            if ast.get_docstring(node) is None
        ]
    return findings


def _public(node: ast.AST) -> Iterator[ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            if child.name.startswith("_") or _borrows_docstring(child):
                continue
            yield child
            if isinstance(child, ast.ClassDef):
                yield from _public(child)
        elif isinstance(child, ast.If | ast.Try | ast.With | ast.ExceptHandler):
            yield from _public(child)


def _borrows_docstring(node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    last = {ast.unparse(decorator).rpartition(".")[2] for decorator in node.decorator_list}
    return bool(last & {"overload", "override", "setter", "deleter"})


def test_every_name_in_all_is_importable_and_documented_and_nothing_else_is_public() -> None:
    assert surface_findings(holdfast) == []


def stubbed(stub: Path) -> dict[str, str]:
    """The names that a type checker sees, and the module each comes from."""
    tree = parse(stub)
    return {
        alias.asname or alias.name: str(node.module)
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def test_a_type_checker_sees_the_names_that_are_there_and_from_where_they_come() -> None:
    stub = SRC / "__init__.pyi"
    assert stubbed(stub) == {name: f"holdfast.{home}" for name, home in holdfast._HOMES.items()}
    listed = next(node for node in parse(stub).body if isinstance(node, ast.Assign))
    assert ast.literal_eval(listed.value) == holdfast.__all__


def test_importing_a_part_does_not_bring_the_whole() -> None:
    """`holdfast.errors` is there without the driver, the event loop or the rest."""
    program = "import sys, holdfast.errors; print(sorted({'asyncio', 'msgspec', 'holdfast.hold'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_name_that_is_not_there_is_an_attribute_error_that_names_it() -> None:
    with pytest.raises(AttributeError, match="'holdfast' has no attribute 'Holdfats'"):
        _ = holdfast.Holdfats
    assert set(holdfast.__all__) <= set(dir(holdfast))


def test_every_public_name_in_src_has_a_docstring() -> None:
    assert undocumented(SRC) == []


def test_the_package_is_marked_as_typed() -> None:
    assert (ROOT / "src/holdfast/py.typed").is_file()


def test_the_guard_reports_a_name_that_is_missing_unlisted_doubled_or_undocumented() -> None:
    package = types.ModuleType("package")

    class Documented:
        """A promise."""

    class Silent(Documented):
        pass

    def documented() -> None:
        """Another."""

    package.__dict__.update(
        Documented=Documented,
        documented=documented,
        Silent=Silent,
        stray=1,
        os=types.ModuleType("os"),
        LIMIT=3,
    )
    package.__dict__["__all__"] = ["Documented", "Documented", "documented", "LIMIT", "Missing", "Silent"]
    assert surface_findings(package) == [
        "Documented is listed twice",
        "stray is public but not in __all__",
        "Missing is in __all__ but cannot be imported",
        "Silent has no docstring of its own",
    ]


def test_the_guard_reports_each_undocumented_public_name(tmp_path: Path) -> None:
    write(
        tmp_path,
        "noun.py",
        "class Noun:\n"
        "    def verb(self):\n        return 1\n"
        "    async def told(self):\n        '''Yes.'''\n"
        "    def _private(self):\n        def inner(): pass\n"
        "if True:\n    def loose(): pass\n",
    )
    write(tmp_path, "_private.py", "def fine(): pass\n")
    write(tmp_path, "empty/__init__.py", "")
    assert undocumented(tmp_path) == [
        "noun.py: the module",
        "noun.py:1 Noun",
        "noun.py:2 verb",
        "noun.py:9 loose",
    ]
