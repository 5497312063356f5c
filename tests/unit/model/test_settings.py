"""The configuration from outside: any field, from the environment and from a file, strictly and in order."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from holdfast.errors import InvalidValue
from holdfast.model.config import ChangesConfig, Config, StateConfig
from holdfast.model.settings import built, fields_of, from_environment, from_file

FIELDS = {".".join(path): type_ for path, type_ in fields_of(Config)}


def value_of(config: Config, name: str) -> Any:
    found: Any = config
    for step in name.split("."):
        found = getattr(found, step)
    return found


def another(name: str) -> Any:
    """A value that the field may have, and does not have by default."""
    default = value_of(Config(), name)
    for value in (7, 7.5, "7m", "words", not default, ["words"], *other_words(FIELDS[name])):
        try:
            made = Config.load(environment={}, **nested(name, value))
        except (InvalidValue, TypeError):
            continue
        if value_of(made, name) != default:
            return value
    raise AssertionError(f"no other value is known for {name}")


def other_words(type_: Any) -> tuple[Any, ...]:
    """Those of a Literal."""
    found = getattr(msgspec.inspect.type_info(type_), "values", ()) if "Literal" in str(type_) else ()
    return tuple(found)


def nested(name: str, value: Any) -> dict[str, Any]:
    part, _, rest = name.partition(".")
    return {part: nested(rest, value) if rest else value}


@pytest.mark.parametrize("name", FIELDS)
def test_every_field_is_read_from_the_environment_and_from_a_file(name: str, tmp_path: Path) -> None:
    """A field that is added tomorrow is read from both at once."""
    value = another(name)
    expected = value_of(Config.load(environment={}, **nested(name, value)), name)
    text = value if isinstance(value, str) else json.dumps(value)
    variable = "HOLDFAST_" + name.replace(".", "__").upper()
    assert value_of(Config.load(environment={variable: text}), name) == expected
    file = tmp_path / "app.json"
    file.write_text(json.dumps(nested(name, value)))
    assert value_of(Config.load(file, environment={}), name) == expected
    *tables, field = name.split(".")
    file = tmp_path / "app.toml"
    file.write_text(f"[{'.'.join(tables)}]\n{field} = {json.dumps(value)}\n")
    assert value_of(Config.load(str(file), environment={}), name) == expected


def test_an_argument_goes_before_the_environment_and_that_before_the_file(tmp_path: Path) -> None:
    file = tmp_path / "app.toml"
    file.write_text('[state]\ntemp_ttl = "1m"\nvalue_bytes_max = 1\n[changes]\nretention_count = 1\n')
    environment = {
        "HOLDFAST_STATE__TEMP_TTL": "2m",
        "HOLDFAST_STATE__VALUE_BYTES_MAX": "2",
        "HOLDFAST_URL": "memory://",
    }
    config = Config.load(file, environment=environment, state={"temp_ttl": "3m"})
    assert config.state == StateConfig(temp_ttl="3m", value_bytes_max=2)
    assert config.changes.retention_count == 1
    assert Config.load(environment={}) == Config()


def test_none_is_said_by_a_word_where_it_may_be(tmp_path: Path) -> None:
    file = tmp_path / "app.toml"
    file.write_text('[changes]\nretention_age = "none"\n')
    assert Config.load(file, environment={}).changes == ChangesConfig(retention_age=None)
    with pytest.raises(InvalidValue):
        Config.load(environment={"HOLDFAST_STATE__TEMP_TTL": "none"})


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        (
            {"HOLDFAST_STATE_TEMP_TTL": "1h"},
            "the variable HOLDFAST_STATE_TEMP_TTL .* did you mean HOLDFAST_STATE__TEMP_TTL\\?\n",
        ),
        (
            {"HOLDFAST_MY__COLOUR": "red"},
            "HOLDFAST_MY__COLOUR is no setting; known are .*HOLDFAST_LIMITS__OPERATIONS_MAX",
        ),
        ({"HOLDFAST_STATE__VALUE_BYTES_MAX": "many"}, "state.value_bytes_max in HOLDFAST_STATE__VALUE_BYTES_MAX: "),
        ({"HOLDFAST_STATE__VALUE_BYTES_MAX": "[1]"}, "state.value_bytes_max in HOLDFAST_STATE__VALUE_BYTES_MAX: "),
        ({"HOLDFAST_STATE__VALUE_BYTES_MAX": "0"}, "HOLDFAST_STATE__VALUE_BYTES_MAX: .*positive"),
        ({"HOLDFAST_STATE__TEMP_TTL": "soon"}, "HOLDFAST_STATE__TEMP_TTL: .*duration|soon"),
    ],
)
def test_a_variable_that_sets_nothing_or_is_not_valid_is_refused_by_its_name(
    environment: dict[str, str], told: str
) -> None:
    with pytest.raises(InvalidValue, match=told):
        Config.load(environment=environment)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("[stat]\ntemp_ttl = 1\n", "'stat' in app.toml is no setting; did you mean state"),
        ("[state]\ntempttl = 1\n", r"'tempttl' in app.toml \[state\] is no setting; did you mean temp_ttl\?"),
        ("[state]\nvalue_bytes_max = 'x'\n", r"state.value_bytes_max in app.toml \[state\]: "),
        ("[state]\nvalue_bytes_max = 1.5\n", r"state.value_bytes_max in app.toml \[state\]: "),
        ("[state]\ntemp_ttl = -1\n", r"state.temp_ttl in app.toml \[state\]: "),
        ("state = 3\n", r"app.toml \[state\] must be a table"),
        ("[state\n", "app.toml cannot be read: .*line 1"),
    ],
)
def test_a_file_that_sets_nothing_or_is_not_valid_is_refused_by_its_section(content: str, told: str) -> None:
    with pytest.raises(InvalidValue, match=told):
        built(Config(), from_file(Config, "app.toml", content))


def test_a_file_of_another_kind_and_one_that_is_not_there_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidValue, match="neither"):
        from_file(Config, "app.yaml", "")
    with pytest.raises(InvalidValue, match=r"app\.json must be a table"):
        from_file(Config, "app.json", "[]")
    with pytest.raises(FileNotFoundError):
        Config.load(tmp_path / "none.toml", environment={})


def test_the_environment_of_the_process_is_read_and_other_variables_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_LIMITS__OPERATIONS_MAX", "17")
    monkeypatch.setenv("UNRELATED_HOLDFAST_X", "1")
    assert Config.load().limits.operations_max == 17


class Inner(msgspec.Struct, frozen=True, kw_only=True):
    names: tuple[str, ...] = ()
    on: bool = False


class Outer(msgspec.Struct, frozen=True, kw_only=True):
    inner: Inner | None = None
    share: float = 0.5


def test_parts_within_parts_and_several_values_are_read_too() -> None:
    """What a configuration may become: deeper, with lists and truths."""
    found = from_environment(Outer, {"HOLDFAST_INNER__NAMES": '["a", "b"]', "HOLDFAST_INNER__ON": "true"})
    assert built(Outer(), found) == Outer(inner=Inner(names=("a", "b"), on=True))
    found = from_file(Outer, "x.toml", 'share = 1.5\n[inner]\nnames = ["a"]\n')
    assert built(Outer(), found) == Outer(inner=Inner(names=("a",)), share=1.5)


def test_variables_that_a_cluster_sets_for_a_service_of_that_name_are_left_alone() -> None:
    assert (
        Config.load(environment={"HOLDFAST_PORT": "tcp://10.0.0.1:80", "HOLDFAST_SERVICE_HOST": "10.0.0.1"}) == Config()
    )


@pytest.mark.parametrize("suffix", ["toml", "json"])
def test_a_file_that_is_not_utf_8_is_named(tmp_path: Path, suffix: str) -> None:
    """A file of settings that cannot be read as text is InvalidValue, never a bare UnicodeDecodeError."""
    file = tmp_path / f"app.{suffix}"
    file.write_bytes(b"\xff\xfea\x00")
    with pytest.raises(InvalidValue, match=f"app.{suffix} cannot be read: it is not UTF-8") as raised:
        Config.load(file, environment={})
    assert raised.value.remedy == "Save the file as UTF-8."
