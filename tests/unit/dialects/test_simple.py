"""The dialect `simple`: what stands in its places, what it refuses, and that nothing but values can be reached."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.dialects.dialect import OUTPUT_CHARS_MAX, PLACES_MAX, STEPS_MAX, Missing, named
from holdfast.dialects.simple import Simple
from holdfast.errors import MissingVariable, TemplateError, TooLarge

VALUES: dict[str, Any] = {
    "city": "Kyoto",
    "trip": {"days": ["Mon", "Tue"], "price": 900, "odd name": {"x": 1}, "0": "zero"},
    "search": {"output": {"price": 12.5}},
    "none": None,
    "yes": True,
    "$vars": {"city": "Osaka"},
    "$flow": {"state": {"cart": ["milk", "eggs"]}},
}


def render(text: str, missing: Missing = "error", values: dict[str, Any] = VALUES) -> str:
    return Simple().compile(text).render(values, missing)


@pytest.mark.parametrize(
    ("text", "is_"),
    [
        ("", ""),
        ("no place", "no place"),
        ("{{city}}", "Kyoto"),
        ("Fly to {{ city }}, {{\tcity\n}}!", "Fly to Kyoto, Kyoto!"),
        ("{{ trip.days[0] }} {{ trip.days.1 }} {{ trip.days[-1] }}", "Mon Tue Tue"),
        ("{{ trip['odd name'].x }} {{ trip.0 }} {{ trip[0] }}", "1 zero zero"),
        ("{{ search.output.price }}", "12.5"),
        ("{{ $vars.city }} {{ $flow.state.cart[1] }}", "Osaka eggs"),
        ("{{ trip.days }} {{ none }} {{ yes }}", '["Mon","Tue"] null true'),
        (r"\{{ city }} \\{{ city }} \\\{{ city }}", r"{{ city }} \Kyoto \{{ city }}"),
        (r"\\\\{{ city }} \\\\\{{ city }} a\\b \ {{ city }}\\", r"\\Kyoto \\{{ city }} a\\b \ Kyoto\\"),
        ("} }} { {{ city }} }}", "} }} { Kyoto }}"),
    ],
)
def test_a_place_is_filled_with_what_its_path_leads_to(text: str, is_: str) -> None:
    assert render(text) == is_


@pytest.mark.parametrize(
    ("text", "is_"),
    [
        ("{{ gone | default('Monday') }}", "Monday"),
        ("{{ gone | default(-1.5) }} {{ gone | default(true) }} {{ gone | default(null) }}", "-1.5 true null"),
        ('{{ gone | default("a \\" b") | upper }}', 'A " B'),
        ("{{ none | default('Monday') }}", "null"),
        ("{{ city | upper }} {{ city | lower }} {{ city | length }}", "KYOTO kyoto 5"),
        ("{{ trip.days | join(', ') }} {{ trip.days | first }} {{ trip.days | last | lower }}", "Mon, Tue Mon tue"),
        ("{{ search.output.price | round(0) }} {{ city | json }} {{ trip.days | json }}", '12 "Kyoto" ["Mon","Tue"]'),
        ("{{ gone.at.all | upper | default('x') }}", "x"),
    ],
)
def test_a_filter_changes_what_stands_there(text: str, is_: str) -> None:
    assert render(text) == is_


def test_what_is_missing_stays_as_written_or_is_an_error_or_nothing() -> None:
    text = "to {{  gone.at['x y'] | upper }}."
    assert render(text, "keep") == text
    assert render(text, "empty") == "to ."
    with pytest.raises(MissingVariable, match="gone"):
        render(text, "error")


@pytest.mark.parametrize("value", [{"deep": [1, {"a": None}]}, None, 3, 2.5, True, [], ""])
def test_a_single_place_keeps_the_type_of_its_value(value: Any) -> None:
    assert Simple().compile("{{ v }}").value({"v": value}, "error") == value
    assert type(Simple().compile("{{ v }}").value({"v": value}, "error")) is type(value)
    assert Simple().compile("{{ v }}!").value({"v": 1}, "error") == "1!"
    assert Simple().compile("{{ gone }}").value({}, "empty") is None
    assert Simple().compile("{{ gone }}").value({}, "keep") == "{{ gone }}"


def test_a_value_that_looks_like_a_template_is_never_expanded() -> None:
    """One pass: otherwise what a user says could read a secret, or steal the place of another value."""
    values = {"said": "{{ secret }} \\{{ secret }}", "secret": "42"}
    assert render("{{ said }}{{ secret }}", values=values) == "{{ secret }} \\{{ secret }}42"


@pytest.mark.parametrize(
    "path",
    ["__class__", "__class__.__mro__", "upper", "format", "__init__.__globals__", "constructor", "__proto__", "keys",
     "items", "0.__class__", "days.append", "days.length", "days.__len__", "price.real", "price.__class__"],
)  # fmt: skip
def test_nothing_but_keys_and_indexes_can_be_reached(path: str) -> None:
    for root in ("city", "trip", "none"):
        assert render("{{ " + f"{root}.{path}" + " }}", "empty") == ("" if (root, path) != ("trip", "0") else "zero")


def test_the_paths_that_it_needs_are_told_once_in_order() -> None:
    compiled = Simple().compile("{{ b.c[0] }} {{ a }} {{ b.c[0] | upper }} \\{{ d }} {{ $vars['x y'].z }}")
    assert [named(path) for path in compiled.paths] == ["b.c[0]", "a", '$vars["x y"].z']


@pytest.mark.parametrize(
    ("text", "line", "column", "problem"),
    [
        ("{{", 1, 1, "not closed"),
        ("a\nb {{ city", 2, 3, "not closed"),
        ("{{ }}", 1, 1, "a name is missing"),
        ("{{ city. }}", 1, 1, "after the dot"),
        ("{{ city[ }}", 1, 1, "no text in quotes"),
        ("{{ city[1.5] }}", 1, 1, "an index"),
        ("{{ city[0 }}", 1, 1, '"]" is missing'),
        ("{{ 1city }}", 1, 1, "is no name"),
        ("{{ city | shout }}", 1, 1, "no filter 'shout'"),
        ("{{ city | upper(1) }}", 1, 1, "takes no argument"),
        ("{{ city | join }}", 1, 1, "join needs"),
        ("{{ city | default('x' }}", 1, 1, '"\\)" is missing'),
        ("{{ city city }}", 1, 1, "'city' is not understood"),
        ("{{ city() }}", 1, 1, r"'\(' is not understood"),
        ("{{ city + 1 }}", 1, 1, "not understood"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place(text: str, line: int, column: int, problem: str) -> None:
    with pytest.raises(TemplateError, match=problem) as caught:
        Simple().compile(text)
    assert (caught.value.line, caught.value.column) == (line, column)


@pytest.mark.parametrize("filter_", ["upper", "lower", "trim", "first", "last", "length", "join(',')", "round(1)"])
def test_a_filter_says_what_it_cannot_be_used_on(filter_: str) -> None:
    with pytest.raises(TemplateError, match="takes"):
        render("{{ yes | " + filter_ + " }}")


def test_places_and_steps_are_counted() -> None:
    """Limits: at n and at n + 1."""
    assert render("{{ city }}" * PLACES_MAX) == "Kyoto" * PLACES_MAX
    with pytest.raises(TemplateError, match="more than"):
        Simple().compile("{{ city }}" * (PLACES_MAX + 1))
    Simple().compile("{{ a" + ".b" * (STEPS_MAX - 1) + " }}")
    with pytest.raises(TemplateError, match="steps"):
        Simple().compile("{{ a" + ".b" * STEPS_MAX + " }}")


def test_the_text_it_comes_to_is_bounded() -> None:
    half = "x" * (OUTPUT_CHARS_MAX // 2)
    assert len(render("{{ v }}{{ v }}", values={"v": half})) == OUTPUT_CHARS_MAX
    for text in ("{{ v }}{{ v }}!", "{{ l | join('') }}!", "{{ l | join('xx') }}"):
        with pytest.raises(TooLarge):
            render(text, values={"v": half, "l": [half, half]})


PIECES = st.sampled_from(
    ["{{", "}}", "\\", "a", "b", ".", "[", "]", "(", ")", "|", "default", "'", '"', " ", "0", "-", "$vars", "join",
     "__class__", "\n", "é", "{", "}"]
)  # fmt: skip


@given(st.lists(PIECES, max_size=30).map("".join))
def test_no_text_makes_it_crash(text: str) -> None:
    """Fuzzing: a template is read and filled in, or refused in words."""
    try:
        compiled = Simple().compile(text)
    except TemplateError:
        return
    values = {"a": {"a": ["x"], "b": 1}, "b": "{{ a }}", "$vars": {"a": None}}
    for missing in ("keep", "empty"):
        try:
            assert isinstance(compiled.render(values, missing), str)
        except TemplateError:  # a filter that does not fit
            continue


@given(st.text(alphabet="{}\\ ab|.'", max_size=40))
def test_a_value_comes_out_as_it_went_in(value: str) -> None:
    """No expansion, whatever the value is."""
    assert render("<{{ v }}>", values={"v": value, "a": "X", "b": "X"}) == f"<{value}>"
