"""The dialect `jinja`, read by jinja2 and filled in by its sandbox, narrowed to values.

    {{ name }} {% for day in trip.days %}{{ loop.index }}: {{ day | upper }}{% endfor %} {% if paid %}…{% endif %}

What a template may be made of is a list (`_ALLOWED`), and anything else is refused before it is compiled: macros, calls
but for `range`, includes, imports, inheritance, blocks. `a.b` and `a["b"]` are keys and indexes, never attributes. What
makes loops, or text out of text, is counted while it runs: loops in `counted`, `~` in `joined`, `+` and `*` in
`call_binop`, what is filtered or compared in `looked`, output piece by piece. The namespaces are written without their
dollar, `vars.city`, `flow.state.cart`, `session.user`, and hide variables of these names, which are `vars.session` and
so on.

Tried and rejected: minijinja, a sixth of the time and with fuel for instructions, but what a template may be made of
cannot be looked at from Python, and forty times `{% set a = a ~ a %}` ends the process for want of memory.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from jinja2 import Template, Undefined, nodes, pass_context
from jinja2.exceptions import SecurityError, UndefinedError
from jinja2.filters import FILTERS
from jinja2.meta import find_undeclared_variables
from jinja2.runtime import Context, LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment

from holdfast.dialects.dialect import (
    NESTED_MAX,
    ROUNDS_MAX,
    Fuel,
    Missing,
    Path,
    absent,
    as_text,
    found,
    kept,
    named,
    places_of,
    refused,
)
from holdfast.dialects.jinja_paths import NAMESPACES, path_of, paths_of, single_path, written_in
from holdfast.errors import HoldfastError, MissingVariable, TemplateError

INT_BITS_MAX = 128
"""Bits of a whole number that a template makes."""

WORDS_MAX = 250
"""Names, signs and constants in one tag."""

_ALLOWED = (
    *(nodes.Template, nodes.Output, nodes.TemplateData, nodes.If, nodes.For, nodes.Assign, nodes.Name, nodes.Const),
    *(nodes.List, nodes.Dict, nodes.Pair, nodes.Tuple, nodes.Getattr, nodes.Getitem, nodes.Slice, nodes.Filter),
    *(nodes.Test, nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not, nodes.Neg, nodes.Pos, nodes.CondExpr),
    *(nodes.Add, nodes.Sub, nodes.Mul, nodes.Div, nodes.FloorDiv, nodes.Mod, nodes.Concat, nodes.Keyword),
)
_OF_LOOP = frozenset({"index", "index0", "revindex", "revindex0", "first", "last", "length", "depth", "depth0"})
_FUEL = "$fuel"  # no template can write such a name
_COUNTED, _JOINED, _PLACED = "$counted", "$joined", "$placed"
_LOOKED = "$looked"
_SAFE = (
    *("default", "d", "upper", "lower", "capitalize", "title", "trim", "length", "count", "first", "last"),
    *("int", "float", "abs", "sort", "min", "max"),
)
_AT_ONCE = frozenset({"default", "d", "length", "count", "first", "last"})


class _Values(ImmutableSandboxedEnvironment):
    """The sandbox, in which there is nothing but values."""

    intercepted_binops = frozenset({"+", "-", "*", "/", "//", "%"})

    def getattr(self, obj: Any, attribute: str) -> Any:
        if isinstance(obj, LoopContext):
            return getattr(obj, attribute) if attribute in _OF_LOOP else self.undefined(obj=obj, name=attribute)
        return self.getitem(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        kind = type(obj)
        if isinstance(argument, slice) and kind in (list, str):
            return obj[argument]
        if kind is dict and type(argument) is str:
            return obj[argument] if argument in obj else self.undefined(obj=obj, name=argument)
        if kind in (list, str, tuple) and type(argument) is int and -len(obj) <= argument < len(obj):
            return obj[argument]
        return self.undefined(obj=obj, name=str(argument)[:80])

    def is_safe_callable(self, obj: Any) -> bool:
        return obj is _range

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        if operator == "+" and type(left) is type(right) and type(left) in (str, list):
            fuel = _fuel(context)
            size = len(left) + len(right)
            fuel.text(size) if type(left) is str else fuel.round(size)
            return left + right
        if type(left) not in (int, float) or type(right) not in (int, float):
            raise TemplateError(f"{operator} is for numbers (and + for two texts or two lists); ~ joins texts")
        value = self.binop_table[operator](left, right)
        if type(value) is int and value.bit_length() > INT_BITS_MAX:
            raise TemplateError(f"a number of more than {INT_BITS_MAX} bits")
        return value


class _Missing(Undefined):
    """What is missing: no in a condition, nothing in a loop and in a text."""

    @property
    def _undefined_message(self) -> str:
        return str(self._undefined_name)


class _Refused(_Missing):
    """The same where that is an error: it can be asked whether it is there, and nothing else."""

    def _is_absent(self, *_: Any) -> Any:
        raise absent(str(self._undefined_name))

    __str__ = __iter__ = __len__ = __eq__ = __add__ = __radd__ = _is_absent
    __hash__ = Undefined.__hash__


def _fuel(context: Context) -> Fuel:
    fuel: Fuel = context[_FUEL]
    return fuel


@pass_context
def _counted(context: Context, value: Any) -> Sequence[Any]:
    """What a loop goes through."""
    if isinstance(value, Undefined):
        return list(value)
    if not isinstance(value, (list, tuple, dict, str, range)):
        raise TemplateError("a loop goes through a list, an object or a text")
    _fuel(context).round(len(value))
    return list(value)


@pass_context
def _joined(context: Context, values: Sequence[Any], between: str = "") -> str:
    """Texts put together."""
    if not isinstance(values, (list, tuple, str)) or type(between) is not str:
        raise TemplateError("join takes a list, and a text to stand between")
    texts = list(map(_final, values))
    _fuel(context).text(sum(map(len, texts)) + len(between) * max(len(texts) - 1, 0))
    return between.join(texts)


@pass_context
def _looked(context: Context, value: Any) -> Any:
    """What a filter or a comparison goes through."""
    if not isinstance(value, (str, int, float, list, dict, tuple, range, Undefined, type(None))):
        raise TemplateError("a filter takes a value, and no part of the template itself")
    _fuel(context).look(value)
    return value


@pass_context
def _replaced(context: Context, value: Any, old: Any, new: Any) -> str:
    """A text with another one in the place of a part of it."""
    text, part, instead = _final(value), _final(old), _final(new)
    _fuel(context).text(len(text) + text.count(part) * len(instead))
    return text.replace(part, instead)


@pass_context
def _placed(context: Context, value: Any, path: str) -> Any:
    """What stands in a place that is a path and nothing else."""
    return kept(path, context["$missing"]) if isinstance(value, Undefined) else value


def _final(value: Any) -> str:
    """How a value stands in the text."""
    if isinstance(value, Undefined):
        return str(value)
    return as_text(list(value) if isinstance(value, (tuple, range)) else value)


def _reversed(value: Any) -> Any:
    if not isinstance(value, (list, tuple, str, range)):
        raise TemplateError("reverse takes a list or a text")
    return value[::-1] if isinstance(value, str) else list(reversed(value))


def _rounded(value: Any, digits: int = 0) -> float:
    if type(value) not in (int, float) or type(digits) is not int or not 0 <= digits <= 18:
        raise TemplateError("round takes a number, and how many digits are to stay")
    return round(float(value), digits)


def _range(*bounds: int) -> range:
    wanted = range(*bounds)
    if len(wanted) > ROUNDS_MAX:
        raise TemplateError(f"a range of more than {ROUNDS_MAX:,}", rounds=len(wanted))
    return wanted


def _environment(undefined: type[Undefined]) -> _Values:
    environment = _Values(undefined=undefined, finalize=_final, optimized=False, autoescape=False, cache_size=0)
    environment.globals = {"range": _range}
    filters: dict[str, Callable[..., Any]] = {name: FILTERS[name] for name in _SAFE}
    own = {
        _COUNTED: _counted,
        _JOINED: _joined,
        _PLACED: _placed,
        _LOOKED: _looked,
        "join": _joined,
        "replace": _replaced,
        "reverse": _reversed,
    }
    environment.filters = {**filters, **own, "round": _rounded, "string": _final, "tojson": as_text}
    return environment


_LENIENT, _STRICT = _environment(_Missing), _environment(_Refused)


class Jinja:
    """The dialect."""

    def compile(self, text: str) -> JinjaTemplate:
        """See `Dialect.compile`."""
        places = places_of(text, "{{", "{%")
        try:
            _check_words(text)
            return JinjaTemplate(_LENIENT.parse(text), places)
        except HoldfastError:
            raise
        except Exception as problem:
            raise refused(problem) from problem


class JinjaTemplate:
    """See `Compiled`."""

    def __init__(self, tree: nodes.Template, places: int) -> None:
        self._places = places
        _check(tree, 0)
        free = find_undeclared_variables(tree)
        self.paths: Sequence[Path] = tuple(dict.fromkeys(paths_of(tree, free)))
        """See `Compiled.paths`."""
        self._single = single_path(tree)
        self._written = frozenset(written_in(tree))
        _prepare(tree)
        code = _LENIENT.compile(tree)
        self._templates: dict[Missing, Template] = {
            "keep": Template.from_code(_LENIENT, code, _LENIENT.globals),
            "empty": Template.from_code(_LENIENT, code, _LENIENT.globals),
            "error": Template.from_code(_STRICT, code, _STRICT.globals),
        }

    def render(self, values: Mapping[str, Any], missing: Missing) -> str:
        """See `Compiled.render`."""
        fuel = Fuel(self._places)
        names = {name: values[root] for name, root in NAMESPACES.items() if root in values}
        template = self._templates[missing]
        parts: list[str] = []
        try:
            for part in template.generate({**values, **names, _FUEL: fuel, "$missing": missing}):
                fuel.text(len(part))
                parts.append(part)
        except MissingVariable as problem:
            raise self._absent(str(problem.facts["name"])) from None
        except UndefinedError as problem:
            raise self._absent(str(problem)) from None
        except HoldfastError:
            raise
        except SecurityError as problem:
            raise TemplateError("only range can be called in a template of variables") from problem
        except Exception as problem:
            raise refused(problem) from problem
        return "".join(parts)

    def _absent(self, name: str) -> MissingVariable:
        """The error that says what is missing: by its name where that is written in the template. One that is computed
        may be anything, a secret too."""
        return absent(name if name in self._written else "a part whose name is computed")

    def value(self, values: Mapping[str, Any], missing: Missing) -> Any:
        """See `Compiled.value`."""
        if self._single is None:
            return self.render(values, missing)
        value = found(dict(values), self._single)
        if type(value) in (str, int, float, bool, list, dict, type(None)):
            return value
        return None if missing == "empty" else self.render(values, missing)


def _check_words(text: str) -> None:
    """Raise TemplateError for a tag of so many words that reading it would take for ever.

    The library looks at what stands in an expression again at each level around it; only the recursion limit of the
    process ended that, and a process may raise it.
    """
    words = 0
    for line, kind, _ in _LENIENT.lex(text):
        words = 0 if kind.endswith("_end") or kind == "data" else words + (kind != "whitespace")
        if words > WORDS_MAX:
            raise TemplateError(f"line {line}: more than {WORDS_MAX} words in one tag", line=line)


def _check(node: nodes.Node, depth: int) -> None:
    """Raise TemplateError for anything that is not on the list."""
    is_range = isinstance(node, nodes.Call) and isinstance(node.node, nodes.Name) and node.node.name == "range"
    if not isinstance(node, _ALLOWED) and not is_range:
        what = type(node).__name__.lower()
        raise TemplateError(f"line {node.lineno}: {what} is not for templates of variables", line=node.lineno)
    if isinstance(node, nodes.For) and node.recursive:
        raise TemplateError(f"line {node.lineno}: a loop cannot be recursive", line=node.lineno)
    if isinstance(node, (nodes.List, nodes.Dict)) and any(node.find_all((nodes.Name, nodes.Filter))):
        # Lists of lists that share their parts are small in memory and endless to compare or to write.
        raise TemplateError(
            f"line {node.lineno}: a list or object in a template is made of constants", line=node.lineno
        )
    if isinstance(node, nodes.Tuple) and node.ctx == "load":
        raise TemplateError(f"line {node.lineno}: a tuple is not for templates of variables", line=node.lineno)
    if isinstance(node, nodes.Filter) and not _is_known(node):
        raise TemplateError(f"line {node.lineno}: there is no filter {node.name!r}", line=node.lineno)
    if isinstance(node, (nodes.If, nodes.For)):
        depth += 1
        if depth > NESTED_MAX:
            raise TemplateError(f"more than {NESTED_MAX} blocks are in each other")
    for child in node.iter_child_nodes():
        _check(child, depth)


def _is_known(node: nodes.Filter) -> bool:
    return not node.name.startswith("$") and node.name in _LENIENT.filters and node.node is not None


def _prepare(node: nodes.Node) -> None:
    """Let what runs be counted, and each place say what it is."""
    for child in node.iter_child_nodes():
        _prepare(child)
    if isinstance(node, nodes.For):
        node.iter = _filter(node.iter, _COUNTED)
    elif isinstance(node, nodes.Output):
        node.nodes = [
            _filter(one, _PLACED, nodes.Const(named(path))) if (path := path_of(one)) else one for one in node.nodes
        ]
    for name in node.fields:
        value = getattr(node, name)
        if isinstance(value, list):
            setattr(node, name, list(map(_counting, value)))
        else:
            setattr(node, name, _counting(value))


def _counting(value: Any) -> Any:
    """A part of a template, with what it does counted."""
    if isinstance(value, nodes.Concat):
        return _concat(value)
    if isinstance(value, (nodes.Compare, nodes.Operand)):
        value.expr = _filter(value.expr, _LOOKED)
    elif isinstance(value, nodes.Filter) and not value.name.startswith("$") and value.name not in _AT_ONCE:
        value.node = _filter(value.node, _LOOKED)
    return value


def _concat(node: nodes.Concat) -> nodes.Filter:
    return _filter(nodes.List(node.nodes, lineno=node.lineno), _JOINED)


def _filter(node: Any, name: str, *args: nodes.Expr) -> nodes.Filter:
    return nodes.Filter(node, name, list(args), [], None, None, lineno=node.lineno)
