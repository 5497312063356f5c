"""`holdfast rekey`, and keys for every other command."""

import base64
import os

import pytest

from tests.cli.program import invoke


def keys(*named: tuple[str, bytes]) -> str:
    return ",".join(f"{id}={base64.b64encode(key).decode()}" for id, key in named)


OLD, NEW = ("2026-10", b"o" * 32), ("2026-11", b"n" * 32)


@pytest.fixture
def ring(monkeypatch: pytest.MonkeyPatch):
    def use(*named: tuple[str, bytes]) -> None:
        monkeypatch.setitem(os.environ, "HOLDFAST_KEYS", keys(*named))

    return use


def test_a_plain_store_is_encrypted_rotated_and_needs_the_new_key_alone(store: str, ring, tmp_path) -> None:
    before = invoke("-s", store, "state", "get", "user/ada").out
    ring(OLD)
    refused = invoke("-s", store, "state", "get", "user/ada")
    assert (refused.code, "--from-plain" in refused.err) == (5, True)
    done = invoke("-s", store, "rekey", "--from-plain", "-o", "json").rows[0]
    assert done["changed"] == done["seen"] > 0
    assert done["scrubbed"] is True
    ring(NEW, OLD)
    assert invoke("-s", store, "rekey", "-o", "table").code == 0
    ring(NEW)
    assert invoke("-s", store, "state", "get", "user/ada").out == before
    ring(OLD)
    refused = invoke("-s", store, "rekey")
    assert (refused.code, "2026-11" in refused.err) == (5, True)
    assert OLD[1].decode()[:8] not in refused.err


def examined(store: str) -> dict[str, tuple[object, bool]]:
    """What the doctor says of the keys: each value, and whether there is something to do about it."""
    rows = invoke("-s", store, "doctor").rows
    return {row["name"]: (row["value"], bool(row["remedy"])) for row in rows if row["area"] == "keys"}


def test_the_doctor_says_what_is_under_which_key_and_what_to_do(store: str, ring) -> None:
    """A key may be thrown away once nothing is under it; until then the doctor names the command."""
    assert examined(store) == {"encryption": ("none", False)}
    ring(OLD)
    invoke("-s", store, "rekey", "--from-plain")
    found = examined(store)
    under = found.pop("under 2026-10")
    assert found == {"active": ("2026-10", False), "needed": ("2026-10", False), "not encrypted": (0, False)}
    assert under[0]
    ring(NEW, OLD)
    invoke("-s", store, "state", "set", "user/ada", "seat", '"12A"')
    found = examined(store)
    assert found["active"] == ("2026-11", False)
    assert found["needed"] == ("2026-10, 2026-11", True)
    assert found["under 2026-10"] == (under[0], True)
    assert found["under 2026-11"] == (2, False)
    invoke("-s", store, "rekey")
    assert {"needed": ("2026-11", False), "not encrypted": (0, False)}.items() <= examined(store).items()


def test_without_keys_an_encrypted_store_is_refused_with_the_ids_it_needs(store: str, ring, monkeypatch) -> None:
    ring(OLD)
    invoke("-s", store, "rekey", "--from-plain")
    monkeypatch.delenv("HOLDFAST_KEYS")
    for command in (("session", "list"), ("stats",), ("rekey",)):
        refused = invoke("-s", store, *command)
        assert refused.code == 5
        assert "2026-10" in refused.err
        assert "HOLDFAST_KEYS" in refused.err


def test_keys_that_cannot_be_read_are_a_usage_error_that_shows_nothing_of_them(store: str, monkeypatch) -> None:
    monkeypatch.setenv("HOLDFAST_KEYS", "2026-10=secret-text")
    refused = invoke("-s", store, "stats")
    assert refused.code == 2
    assert "secret-text" not in refused.err
