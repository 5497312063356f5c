"""The tree speaks of itself alone and hides nothing.

No machine's path and no registry's host stands in it, nothing decodes by running code, no exception vanishes,
and no checker is silenced in general.
"""

import ast
import io
import re
import tokenize
from pathlib import Path

from tests.architecture.tree import ROOT, files, parse, write

# Assembled from pieces, so that this file does not contain what it looks for.
_SLASH = "/"
MACHINE_PATH = re.compile(rf"(?<![\w.~-]){_SLASH}(?:work|root|home|Users|opt|tmp){_SLASH}[\w.-]+|[A-Z]:\\+Users\\+")
REGISTRY = re.compile(
    r"https?:"
    r"//[^\s)\"'>]*(?:pypi|pythonhosted|npmjs|simple/|registry|deb\.debian|mirror)|(?:extra-)?index" + "-url"
)
UNSAFE_MODULES = {"pickle", "cPickle", "_pickle", "cloudpickle", "dill", "jsonpickle", "marshal", "shelve"}
LEFT_BY_A_MERGE = re.compile(r"^(?:<{7}|>{7}|[|]{7}) ")
BARE_IGNORE = re.compile(r"#\s*(?:type:\s*ignore(?!\[)|noqa(?!:))")


def foreign_names(root: Path) -> list[str]:
    """Lines of text files that name a machine's path or a registry's host, or were left by an undecided merge."""
    findings = []
    for path in files(root):
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:
            continue
        for number, line in enumerate(lines, start=1):
            hit = MACHINE_PATH.search(line) or REGISTRY.search(line) or LEFT_BY_A_MERGE.search(line)
            if hit:
                findings.append(f"{path.relative_to(root)}:{number} {hit.group()}")
    return findings


def unsafe_imports(root: Path) -> list[str]:
    """Imports, in any form, of a module that can run code while it decodes."""
    findings = []
    for path in files(root, ".py"):
        for node in ast.walk(parse(path)):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
                names = [arg.value for arg in node.args[:1] if isinstance(arg, ast.Constant)]
            findings += [
                f"{path.relative_to(root)}:{node.lineno} {name}"  # type: ignore[attr-defined]
                for name in names
                if isinstance(name, str) and name.partition(".")[0] in UNSAFE_MODULES
            ]
    return findings


def swallowed_exceptions(root: Path) -> list[str]:
    """Handlers that catch everything and do nothing, in both spellings."""
    findings = []
    for path in files(root, ".py"):
        for node in ast.walk(parse(path)):
            silent_handler = (
                isinstance(node, ast.ExceptHandler) and _catches_all(node.type) and _does_nothing(node.body)
            )
            suppressed = (
                isinstance(node, ast.Call)
                and ast.unparse(node.func).rpartition(".")[2] == "suppress"
                and any(_catches_all(arg) for arg in node.args)
            )
            if silent_handler or suppressed:
                findings.append(f"{path.relative_to(root)}:{node.lineno}")  # type: ignore[attr-defined]
    return findings


def _catches_all(caught: ast.expr | None) -> bool:
    if isinstance(caught, ast.Tuple):
        return any(_catches_all(one) for one in caught.elts)
    return caught is None or ast.unparse(caught) in {"Exception", "BaseException"}


def _does_nothing(body: list[ast.stmt]) -> bool:
    return all(
        isinstance(line, ast.Pass | ast.Continue)
        or (isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant))
        for line in body
    )


def bare_ignores(root: Path) -> list[str]:
    """Comments that switch a checker off without saying which finding they mean."""
    findings = []
    for path in files(root, ".py"):
        source = path.read_text(encoding="utf-8")
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            if token.type == tokenize.COMMENT and BARE_IGNORE.search(token.string):
                findings.append(f"{path.relative_to(root)}:{token.start[0]} {token.string}")
    return findings


def test_the_tree_names_no_machine_path_and_no_registry_host_and_no_merge_is_undecided() -> None:
    assert foreign_names(ROOT) == []


def test_nothing_imports_a_module_that_runs_code_while_decoding() -> None:
    assert unsafe_imports(ROOT) == []


def test_nothing_catches_everything_and_stays_silent() -> None:
    assert swallowed_exceptions(ROOT) == []


def test_every_ignore_names_what_it_ignores() -> None:
    assert bare_ignores(ROOT) == []


def test_the_guard_reports_machine_paths_registry_hosts_and_marks_of_a_merge(tmp_path: Path) -> None:
    lines = [
        f"see {_SLASH}work{_SLASH}main for more",
        f"path = '{_SLASH}root{_SLASH}.cache'",
        f"sqlite:///{_SLASH}home{_SLASH}ada/app.db",
        "https:" + "//pypi.example/simple/x",
        "pip --index" + "-url=x",
        "<" * 7 + " HEAD",
        ">" * 7 + " main",
    ]
    write(tmp_path, "docs/page.md", "\n".join(lines))
    write(
        tmp_path,
        "Makefile",
        "all: ; cat ~/work/notes ../tmp/x a/work/b /var/lib/app.db https://example.org/home/x\n",
    )
    write(tmp_path, ".venv/lib/x.txt", lines[0])
    found = [finding.partition(" ")[0] for finding in foreign_names(tmp_path)]
    assert found == [f"docs/page.md:{number}" for number in range(1, 8)]


def test_the_guard_reports_unsafe_imports_in_every_form(tmp_path: Path) -> None:
    write(
        tmp_path,
        "a.py",
        "import json, pickle\nfrom marshal import loads\ndef f():\n    import dill.source\n"
        "importlib.import_module('shelve')\nimport pickled\n",
    )
    assert sorted(unsafe_imports(tmp_path)) == [
        "a.py:1 pickle",
        "a.py:2 marshal",
        "a.py:4 dill.source",
        "a.py:5 shelve",
    ]


def test_the_guard_reports_a_silent_except_in_every_form(tmp_path: Path) -> None:
    write(
        tmp_path,
        "a.py",
        "try: x()\nexcept Exception: pass\n"
        "try: x()\nexcept (KeyError, BaseException):\n    '''why not'''\n    ...\n"
        "for _ in y:\n  try: x()\n  except: continue\n"
        "with contextlib.suppress(Exception): x()\n"
        "try: x()\nexcept KeyError: pass\n"
        "try: x()\nexcept Exception as error: report(error)\n"
        "with suppress(OSError): x()\n",
    )
    assert sorted(swallowed_exceptions(tmp_path)) == ["a.py:10", "a.py:2", "a.py:4", "a.py:9"]


def test_the_guard_reports_an_ignore_without_a_code(tmp_path: Path) -> None:
    write(
        tmp_path,
        "a.py",
        "a = 1  # type: ignore\nb = 2  # type: ignore[attr-defined]\nc = 3  # noqa\nd = 4  # noqa: S608\n"
        "e = '# type: ignore'\n",
    )
    assert bare_ignores(tmp_path) == ["a.py:1 # type: ignore", "a.py:3 # noqa"]
