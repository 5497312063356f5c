"""The paths that a template of jinja names: `{{ trip.days[0] }}` is ("trip", "days", 0)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from jinja2 import nodes

from holdfast.dialects.dialect import FLOW, SESSION, VARS, Path, named

NAMESPACES: Mapping[str, str] = {"vars": VARS, "flow": FLOW, "session": SESSION}


def paths_of(node: nodes.Node, free: set[str]) -> Iterator[Path]:
    """Those whose first part is one of these names, which the template does not set itself."""
    path = path_of(node)
    if path:
        if path[0] in free:
            yield (NAMESPACES.get(str(path[0]), path[0]), *path[1:])
        return
    for child in node.iter_child_nodes():
        yield from paths_of(child, free)


def path_of(node: nodes.Node) -> Path:
    """The path that a node is, if it is one."""
    steps: list[str | int] = []
    while True:
        if isinstance(node, nodes.Getattr):
            steps.append(node.attr)
        elif (
            isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const) and type(node.arg.value) in (str, int)
        ):
            steps.append(node.arg.value)
        else:
            break
        node = node.node
    if not all(type(step) in (str, int) for step in steps):
        return ()
    return (node.name, *reversed(steps)) if isinstance(node, nodes.Name) and node.ctx == "load" else ()


def written_in(tree: nodes.Template) -> Iterator[str]:
    """The names that are written in a template, by themselves and as paths."""
    for node in tree.find_all((nodes.Name, nodes.Getattr, nodes.Getitem, nodes.Const)):
        path = path_of(node)
        if path:
            yield named(path)
        yield from (str(getattr(node, name))[:80] for name in ("name", "attr", "value") if hasattr(node, name))


def single_path(tree: nodes.Template) -> Path | None:
    """The path that a template is, if it is that and nothing else."""
    if len(tree.body) != 1 or not isinstance(tree.body[0], nodes.Output) or len(tree.body[0].nodes) != 1:
        return None
    path = path_of(tree.body[0].nodes[0])
    return (NAMESPACES.get(str(path[0]), path[0]), *path[1:]) if path else None
