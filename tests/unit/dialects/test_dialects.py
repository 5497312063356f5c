"""All dialects: one promise each way. What a template may do is the same in all of them: fill in values."""

import subprocess
import sys
import traceback
from pathlib import Path
from time import process_time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.dialects.compiling import KEPT_MAX, _compiled, compiled
from holdfast.dialects.dialect import OUTPUT_CHARS_MAX, TEMPLATE_CHARS_MAX, Missing, named
from holdfast.errors import InvalidValue, MissingVariable, TemplateError, TooLarge
from tests.unit.dialects import nasty

SYNTAXES = ("simple", "mustache", "handlebars", "jinja")

VALUES: dict[str, Any] = {
    "name": "Ada",
    "trip": {"city": "Kyoto", "days": ["Mon", "Tue"], "keys": "k"},
    "items": [{"x": 1}, {"x": 2}],
    "n": 3,
    "paid": True,
    "said": "{{name}} {{ name }} {{{name}}} {% if paid %}{{> x}}{% endif %} \\{{name}}",
    "big": list(range(1_000)),
    "long": "y" * 200_000,
    "$vars": {"name": "Ada"},
    "$flow": {"state": {"cart": ["milk"]}},
    "$session": {"user": "ada"},
}

CPU_S = 20
"""What no template may take, by far: those that are refused for their length took minutes."""


def render(syntax: str, text: str, missing: Missing = "error", values: dict[str, Any] = VALUES) -> str:
    return compiled(syntax, text).render(values, missing)


@pytest.mark.parametrize(
    ("syntax", "text", "is_"),
    [
        ("mustache", "{{name}} {{{name}}} {{& name}} {{trip.city}} {{trip.days.1}}", "Ada Ada Ada Kyoto Tue"),
        ("mustache", "{{#items}}[{{x}}{{name}}]{{/items}}{{^gone}}none{{/gone}}{{! no }}", "[1Ada][2Ada]none"),
        (
            "mustache",
            "{{#trip}}{{city}}{{/trip}}{{#paid}} paid{{/paid}} {{#trip.days}}{{.}}{{/trip.days}}",
            "Kyoto paid MonTue",
        ),
        ("mustache", "{{$flow.state.cart.0}} {{$session.user}} {{items}} {{n}}", 'milk ada [{"x":1},{"x":2}] 3'),
        (
            "handlebars",
            "{{name}} {{{name}}} {{trip.city}} {{trip.days.[1]}} {{lookup trip 'city'}}",
            "Ada Ada Kyoto Tue Kyoto",
        ),
        ("handlebars", "{{#each items}}{{@index}}[{{x}}{{../name}}]{{/each}}", "0[1Ada]1[2Ada]"),
        (
            "handlebars",
            "{{#if gone}}y{{else}}n{{/if}} {{#unless gone}}u{{/unless}} {{#with trip}}{{city}}{{/with}}",
            "n u Kyoto",
        ),
        ("handlebars", "{{$flow.state.cart.[0]}} {{items}} \\{{name}}", 'milk [{"x":1},{"x":2}] {{name}}'),
        (
            "jinja",
            "{{ name }} {{ trip.city }} {{ trip['days'][1] }} {{ vars.name }} {{ session.user }}",
            "Ada Kyoto Tue Ada ada",
        ),
        (
            "jinja",
            "{% for i in items %}{{ loop.index }}[{{ i.x }}]{% endfor %}{% if n > 2 and paid %}!{% endif %}",
            "1[1]2[2]!",
        ),
        (
            "jinja",
            "{{ name ~ '-' ~ n }} {{ n * 2 + 1 }} {{ name | upper }} {{ gone | default('d') }} {{ paid }}",
            "Ada-3 7 ADA d true",
        ),
        (
            "jinja",
            "{% set a = n + 1 %}{{ a }} {{ 'a,b' if paid else 'c' }} {{ trip.days | join('+') }} {{ 2.34 | round(1) }}",
            "4 a,b Mon+Tue 2.3",
        ),
        (
            "jinja",
            "{{ flow.state.cart[0] }} {{ items }} {% raw %}{{ name }}{% endraw %}",
            'milk [{"x":1},{"x":2}] {{ name }}',
        ),
    ],
)
def test_a_dialect_does_what_its_users_know(syntax: str, text: str, is_: str) -> None:
    assert render(syntax, text) == is_


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_what_is_missing_stays_or_is_an_error_or_nothing(syntax: str) -> None:
    assert render(syntax, "<{{ gone.a }}>", "empty") == "<>"
    assert render(syntax, "<{{gone.a}}>", "keep") == "<{{gone.a}}>"
    with pytest.raises(MissingVariable, match=r"gone\.a"):
        render(syntax, "<{{ gone.a }}>")


WRITTEN = {
    "simple": "{{gone}} {{  gone.a  }} {{ gone | upper }}",
    "mustache": "{{gone}} {{{gone}}} {{& gone}} {{  gone.a  }} {{{ gone }}} {{&gone}} {{ gone\n}}",
    "handlebars": "{{gone}} {{{gone}}} {{& gone}} {{  gone.a  }} {{lookup  trip 'x'}}",
}


@pytest.mark.parametrize("syntax", WRITTEN)
def test_what_is_kept_stays_as_it_was_written(syntax: str) -> None:
    """With its braces and its blanks; and it is filled in where it can be."""
    text = WRITTEN[syntax]
    assert render(syntax, text, "keep").split() == text.split()
    for place in ("{{{x}}}", "{{&  x}}", "{{ x }}") if syntax != "simple" else ("{{ x }}",):
        assert compiled(syntax, place).value({}, "keep") == place
        assert render(syntax, place, "keep", {"x": "y"}) == "y"


@pytest.mark.parametrize(
    ("syntax", "text", "is_"),
    [
        (
            "mustache",
            "{{! {{a }}\n{{#items}}\n{{& y}}{{^y}}{{{z}}}{{/y}}\n{{/items}}{{ b }}",
            "{{& y}}{{{z}}}\n" * 2 + "{{ b }}",
        ),
        ("handlebars", "{{!-- }} {{ --}}{{^gone}}{{{a}}}{{else}}{{& b}}{{/gone}}{{ c }}", "{{{a}}}{{ c }}"),
        ("handlebars", "a {{~ gone ~}} b {{~{gone}~}} c", "a{{~ gone ~}}b{{~{gone}~}}c"),
        ("handlebars", "{{#if gone}}{{{a}}}{{else if n}}{{& b}}{{else}}{{ c }}{{/if}}{{{d}}}", "{{& b}}{{{d}}}"),
        (
            "handlebars",
            "{{{{raw}}}}{{ a }}{{{{/raw}}}}{{& b }}\\{{{c}}} \\\\{{{ d }}}",
            "{{ a }}{{& b }}{{{c}}} \\{{{ d }}}",
        ),
    ],
)
def test_what_is_kept_is_the_place_itself_and_no_other(syntax: str, text: str, is_: str) -> None:
    """Whatever stands around it."""
    assert render(syntax, text, "keep") == is_


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_a_single_place_keeps_the_type_of_its_value(syntax: str) -> None:
    for name in ("trip", "items", "n", "paid"):
        assert compiled(syntax, "{{ " + name + " }}").value(VALUES, "error") == VALUES[name]
    assert compiled(syntax, "{{ n }}!").value(VALUES, "error") == "3!"
    assert compiled(syntax, "{{ gone }}").value(VALUES, "empty") is None
    with pytest.raises(MissingVariable):
        compiled(syntax, "{{ gone }}").value(VALUES, "error")


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_values_are_never_expanded_and_never_escaped(syntax: str) -> None:
    """One pass, in every dialect."""
    assert render(syntax, "{{ said }}") == VALUES["said"]
    assert render(syntax, "{{ v }}", values={"v": "<a & 'b' \"c\">"}) == "<a & 'b' \"c\">"


@pytest.mark.parametrize(
    ("syntax", "text", "paths"),
    [
        ("mustache", "{{a.b}} {{#c}}{{d}}{{/c}} {{^e}}{{/e}} {{$vars.f}} {{a.b}}", ["a.b", "c", "d", "e", "$vars.f"]),
        (
            "handlebars",
            "{{a.b}} {{#each c}}{{this.d}}{{@index}}{{/each}} {{lookup e 'x'}} {{#if f}}{{/if}}",
            ["a.b", "c", "d", "e", "f"],
        ),
        (
            "jinja",
            "{{ a.b }} {% for x in c %}{{ x.d }}{% endfor %} {{ vars.f | upper }} {% if g %}{% endif %}",
            ["a.b", "c", "$vars.f", "g"],
        ),
    ],
)
def test_what_a_template_needs_is_told(syntax: str, text: str, paths: list[str]) -> None:
    assert [named(path) for path in compiled(syntax, text).paths] == paths


NASTY = [(syntax, *one) for syntax in SYNTAXES for one in getattr(nasty, syntax.upper())]


@pytest.mark.parametrize(("syntax", "text", "is_"), NASTY, ids=[f"{one[0]}-{n}" for n, one in enumerate(NASTY)])
def test_a_nasty_template_comes_to_nothing(syntax: str, text: str, is_: str | None) -> None:
    """No attribute, call, file, other template or endless work: refused in words, soon, or nothing there."""
    begun = process_time()
    if is_ is None:
        with pytest.raises((TemplateError, TooLarge)) as caught:
            compiled(syntax, text).render(VALUES, "empty")
        assert len(str(caught.value)) < 1_000
    else:
        assert compiled(syntax, text).render(VALUES, "empty") == is_
    assert process_time() - begun < CPU_S


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("path", nasty.EVERYWHERE)
def test_no_attribute_of_any_value_can_be_reached(syntax: str, path: str) -> None:
    for root in ("name", "trip", "n", "paid", "items", "$session"):
        if (root, path) == ("trip", "keys") or (syntax == "jinja" and root.startswith("$")):
            continue
        assert render(syntax, "{{ " + f"{root}.{path}" + " }}", "empty") == ""


def test_a_template_and_what_it_comes_to_have_their_limits() -> None:
    """Limits: at n and at n + 1."""
    assert len(render("simple", "x" * TEMPLATE_CHARS_MAX)) == TEMPLATE_CHARS_MAX
    with pytest.raises(TooLarge):
        compiled("simple", "x" * (TEMPLATE_CHARS_MAX + 1))
    for syntax in SYNTAXES:
        values = {"v": "x" * OUTPUT_CHARS_MAX}
        assert len(render(syntax, "{{ v }}", values=values)) == OUTPUT_CHARS_MAX
        with pytest.raises(TooLarge):
            render(syntax, "{{ v }}{{ v }}", values=values)
    for not_text in (None, 1, b"{{ a }}"):
        with pytest.raises(InvalidValue):
            compiled("simple", not_text)


def test_loops_take_so_many_rounds_together() -> None:
    ten_thousand = {"l": list(range(10_000))}
    for syntax, text, more in (
        ("mustache", "{{#l}}{{/l}}", "{{#l}}{{/l}}{{#l}}{{/l}}"),
        ("handlebars", "{{#each l}}{{/each}}", "{{#each l}}{{/each}}{{#each l}}{{/each}}"),
        ("jinja", "{% for x in l %}{% endfor %}", "{% for x in l %}{% endfor %}{% for x in l %}{% endfor %}"),
    ):
        assert render(syntax, text, values={"l": ten_thousand["l"][:9_000]}) == ""
        with pytest.raises(TemplateError, match="rounds"):
            render(syntax, more, values=ten_thousand)


def test_templates_that_were_read_are_kept_up_to_a_number() -> None:
    assert compiled("simple", "{{ a }}") is compiled("simple", "{{ a }}")
    for n in range(KEPT_MAX + 10):
        compiled("simple", f"{n}")
    assert _compiled.cache_info().currsize == KEPT_MAX


WITHOUT = """
import sys
for name in ("jinja2", "pystache", "pystache.parser", "dotpromptz_handlebars", "dotpromptz_handlebars._render"):
    sys.modules[name] = None
from holdfast.dialects.compiling import compiled
from holdfast.errors import MissingExtra
for syntax in ("mustache", "handlebars", "jinja"):
    try:
        compiled(syntax, "x")
    except MissingExtra as missing:
        assert missing.extra == "templates" and "holdfast[templates]" in missing.remedy
    else:
        raise SystemExit(syntax)
assert compiled("simple", "{{ a }}").render({"a": "b"}, "error") == "b"
"""


def test_without_the_libraries_the_error_names_the_extra(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", WITHOUT], check=True, timeout=60)


PIECES = st.sampled_from(
    ["{{", "}}", "{{{", "}}}", "{%", "%}", "{#", "#}", "#", "/", "^", "&", ">", "~", "!", "a", "b", "name", "items",
     ".", "..", "/a", "each", "if", "else", "for", "in", "endfor", "endif", "set", " ", " ", "=", "|", "as |x|", "(",
     ")", "[", "]", "'", '"', "0", "\\", "\n", "upper", "lookup", "@index", "__class__", "range(3)", "*inline",
     "{{/each}}"]
)  # fmt: skip


@pytest.mark.parametrize("syntax", SYNTAXES)
@given(pieces=st.lists(PIECES, max_size=25))
def test_no_text_makes_a_dialect_crash_or_show_what_is_no_value(syntax: str, pieces: list[str]) -> None:
    """Fuzzing: filled in, or refused in words; and no object of the interpreter ever shows."""
    try:
        text = compiled(syntax, "".join(pieces)).render(VALUES, "empty")
    except (TemplateError, TooLarge, MissingVariable):
        return
    assert not any(sign in text for sign in ("<class", "<built-in", "<function", "<bound", "object at 0x"))


@pytest.mark.parametrize("syntax", SYNTAXES)
@given(value=st.text(alphabet="{}%#\\ name>/^&~", max_size=30))
def test_a_value_comes_out_of_every_dialect_as_it_went_in(syntax: str, value: str) -> None:
    """No expansion, whatever the value is."""
    assert render(syntax, "<{{ v }}>", values={"v": value, "name": "X", "n": "X"}) == f"<{value}>"


def test_no_depth_of_an_expression_takes_for_ever_where_the_process_may_recurse_deeply() -> None:
    """What ends it is a limit of the dialect, not that of the interpreter, which others raise."""
    before, begun = sys.getrecursionlimit(), process_time()
    sys.setrecursionlimit(20_000)
    try:
        for text in ("{{ " + "not " * 2_000 + "n }}", "{{ " + "(" * 2_000 + "n" + ")" * 2_000 + " }}"):
            with pytest.raises(TemplateError, match="words in one tag"):
                compiled("jinja", text)
        assert compiled("jinja", "{{ " + "not " * 50 + "n }}").render({"n": True}, "empty") == "true"
    finally:
        sys.setrecursionlimit(before)
    assert process_time() - begun < CPU_S


SECRET = "hush-0b7a"


@pytest.mark.parametrize("text", ["{{ v[s] }}", "{{ v[s].x }}", "{{ s[v.k].y }}", "{{ v[s] + 1 }}"])
def test_a_name_that_a_template_computes_is_told_in_no_error(text: str) -> None:
    """It is a value, and may be a secret; one that is written there is told."""
    with pytest.raises((MissingVariable, TemplateError)) as refused:
        render("jinja", text, values={"v": {"k": SECRET}, "s": SECRET})
    assert SECRET not in "".join(traceback.format_exception(refused.value)) + str(refused.value.facts)
    with pytest.raises(MissingVariable, match="hotel"):
        render("jinja", "{{ v['hotel'].x }}", values={"v": {}})
