"""The ring of keys: what it takes, and that it shows none of them."""

from __future__ import annotations

import base64
import copy
import json
import traceback
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from holdfast.errors import HoldfastError, InvalidValue
from holdfast.model.keyring import KeyRing

OLD, NEW = bytes(range(32)), bytes(range(100, 132))


def encoded(key: bytes) -> str:
    return base64.b64encode(key).decode()


def shows(text: str, key: bytes) -> bool:
    """Whether a key can be read off a text, in one of the forms in which it may be written."""
    forms = (repr(key)[2:-1], key.hex(), encoded(key), str(list(key)))
    return any(form[:16] in text for form in forms)


def test_a_ring_is_shown_by_its_ids_and_never_by_its_keys() -> None:
    ring = KeyRing({"2026-10": OLD, "2026-11": NEW}, active="2026-11")
    assert repr(ring) == "KeyRing(2026-10, 2026-11; active='2026-11', strict=True)"
    inside = {name: getattr(ring, name) for name in KeyRing.__slots__}
    for shown in (repr(ring), str(ring), f"{ring!r:>50}", repr(inside), ascii(ring)):
        assert not any(shows(shown, key) for key in (OLD, NEW))
    assert not hasattr(ring, "__dict__")
    assert "2026-11" in ring
    assert "2026-12" not in ring


def test_a_ring_cannot_be_pickled_or_changed() -> None:
    ring = KeyRing({"k": OLD}, active="k")
    for attempt in (lambda: ring.__reduce_ex__(4), lambda: json.dumps(ring)):
        with pytest.raises(TypeError) as refused:
            attempt()
        assert not shows(str(refused.value), OLD)
    with pytest.raises(AttributeError):
        ring.active = "other"
    with pytest.raises(AttributeError):
        del ring.active
    assert copy.copy(ring) is copy.deepcopy(ring) is ring


WRONG: dict[str, Any] = {
    "no mapping": (["k"], "k"),
    "no keys": ({}, "k"),
    "an active key that is not there": ({"k": OLD}, "other"),
    "a short key": ({"k": OLD[:31]}, "k"),
    "a long key": ({"k": OLD + b"x"}, "k"),
    "a key that is text": ({"k": encoded(OLD)}, "k"),
    "an empty id": ({"": OLD}, ""),
    "a long id": ({"k" * 25: OLD}, "k" * 25),
    "an id with a comma": ({"a,b": OLD}, "a,b"),
    "a key in the place of its id": ({encoded(OLD): OLD}, "k"),
    "an active key that is no text": ({"k": OLD}, []),
    "one key under two ids": ({"a": OLD, "b": OLD}, "a"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_cannot_be_a_ring_is_refused_without_a_word_of_the_keys(wrong: str) -> None:
    keys, active = WRONG[wrong]
    with pytest.raises(InvalidValue) as refused:
        KeyRing(keys, active=active)
    assert not shows("".join(traceback.format_exception(refused.value)), OLD)


@pytest.mark.parametrize("text", [None, b"k=", 5])
def test_only_text_is_parsed(text: Any) -> None:
    with pytest.raises(InvalidValue):
        KeyRing.parse(text)


def test_an_id_may_have_as_many_characters_as_a_frame_has_room_for() -> None:
    assert KeyRing({"k" * 24: OLD}, active="k" * 24).ids == ("k" * 24,)


def test_text_names_keys_and_the_first_is_active() -> None:
    ring = KeyRing.parse(f"2026-11={encoded(NEW)}, 2026-10={encoded(OLD)}")
    assert (ring.ids, ring.active) == (("2026-11", "2026-10"), "2026-11")
    assert ring.derive("2026-10", b"x") == KeyRing({"k": OLD}, active="k").derive("k", b"x")
    assert KeyRing.parse(f"a={encoded(OLD)}\nb={encoded(NEW)},", active="b", strict=False).active == "b"


@pytest.mark.parametrize("text", ["", " , ", encoded(OLD)[:-1], "k=", f"k={encoded(OLD)[:20]}!", f"k={OLD.hex()}"])
def test_text_that_names_no_keys_is_refused_without_a_word_of_it(text: str) -> None:
    with pytest.raises(HoldfastError) as refused:
        KeyRing.parse(text)
    told = "".join(traceback.format_exception(refused.value))
    assert not any(part in told for part in (encoded(OLD)[:16], OLD.hex()[:16]))


def test_a_key_named_twice_in_text_is_refused() -> None:
    with pytest.raises(InvalidValue, match="twice"):
        KeyRing.parse(f"k={encoded(OLD)},k={encoded(NEW)}")


def test_derived_keys_are_those_of_hkdf() -> None:
    """RFC 5869, with the library's own salt."""
    theirs = HKDF(hashes.SHA256(), 32, salt=b"holdfast master key", info=b"purpose").derive(OLD)
    assert KeyRing({"k": OLD}, active="k").derive("k", b"purpose") == theirs
