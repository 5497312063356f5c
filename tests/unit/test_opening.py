"""URLs to stores."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from holdfast import Holdfast
from holdfast.errors import InvalidId, InvalidValue
from holdfast.model.config import Config
from holdfast.opening import parse_url
from holdfast.testing.clock import ManualClock, SeededIds


@pytest.mark.parametrize("url", ["memory://", "memory:///"])
async def test_a_memory_store_is_new_at_every_opening(url: str) -> None:
    async with Holdfast.open(url) as hold:
        await hold.sessions.create(id="s")
    async with Holdfast.open(url) as hold:
        assert await hold.sessions.get("s") is None


async def test_a_file_is_opened_relative_to_the_working_directory_or_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    hold = await Holdfast.open("sqlite:///rel%23.db?durability=process")
    await hold.sessions.create(id="s")
    await hold.close()
    assert (tmp_path / "rel#.db").is_file()
    async with Holdfast.open(f"sqlite:///{tmp_path}/rel%23.db") as hold:
        assert await hold.sessions.get("s") is not None


async def test_without_a_url_the_environment_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_URL", f"sqlite:///{tmp_path}/env.db?durability=process")
    async with Holdfast.open() as hold:
        await hold.sessions.create(id="s")
    assert (tmp_path / "env.db").is_file()
    monkeypatch.delenv("HOLDFAST_URL")
    with pytest.raises(InvalidValue, match="HOLDFAST_URL"):
        await Holdfast.open()


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("", "memory://"),
        ("app.db", "sqlite://"),
        ("nope://x", "memory://, sqlite://"),
        ("postgres://h/db", "write postgresql://"),
        ("postgresql://ada:a/b@h/db", "%2F"),
        ("postgresql://h/db?pol=3", "unknown option pol"),
        ("postgresql://h/db?pool=0", "pool must be a number from 1 to 100"),
        ("postgresql://h/db?timeout=soon", "timeout must be a number"),
        ("postgresql://h/db?schema=a;b", "schema must be"),
        ("postgresql://h/db?durability=none", "durability must be"),
        ("sqlite://app.db", "did you mean 'sqlite:///app.db'"),
        ("memory://x", "did you mean"),
        ("memory:///x", "no name"),
        ("memory://?size=3", "unknown option size"),
        ("sqlite:///a.db?durabilty=process", "unknown option durabilty"),
        ("sqlite:///a.db?durability=none", "fsync or process"),
        ("sqlite:///", "names no file"),
        ("sqlite:///dir/", "names no file"),
        ("sqlite:///a%00b.db", "names no file"),
        ("sqlite:///a#b.db", "%23"),
        ("sqlite://[::1", "not a URL"),
    ],
)
async def test_a_url_that_is_not_understood_is_refused_saying_why(url: str, says: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        await Holdfast.open(url)
    assert says in str(refused.value)


@pytest.mark.parametrize("url", [3, b"memory://", [], object()])
async def test_a_url_is_text(url: Any) -> None:
    with pytest.raises(TypeError, match="URL"):
        await Holdfast.open(url)


@pytest.mark.parametrize("space", ["", "x" * 257, "\n", None, 3])
async def test_a_space_is_a_name(space: Any) -> None:
    with pytest.raises(InvalidId):
        await Holdfast.open("memory://", space=space)


@pytest.mark.parametrize(
    "part",
    [{"config": 3}, {"config": {}}, {"config": Config}, {"clock": 3}, {"clock": SeededIds()}, {"ids": ManualClock()}],
)
async def test_a_part_that_cannot_serve_is_refused_before_anything_is_opened(
    tmp_path: Path, part: dict[str, Any]
) -> None:
    with pytest.raises(TypeError, match=next(iter(part))):
        await Holdfast.open(f"sqlite:///{tmp_path}/a.db", **part)
    assert list(tmp_path.iterdir()) == []


def test_an_address_is_taken_apart() -> None:
    address = parse_url("sqlite:////abs/a%20b.db?durability=process")
    assert (address.scheme, address.path, dict(address.options)) == (
        "sqlite",
        "//abs/a b.db",
        {"durability": "process"},
    )


@pytest.mark.parametrize(
    "url",
    [
        *("postgresql://ada:secret@host/db?pool=0", "redis://:secret@host", "sqlite://ada:secret@host/db"),
        *("x://secret@[/", "postgresql://h/db?password=secret&speed=1", "postgres://h/db?sslpassword=secret"),
        *("postgresql://ada:secret/a@h/db", "postgresql://ada:secret#a@h/db", "postgresql://ada:a?secret@h/db"),
        *("postgresql://ada:a@secret/b@h/db?pool=0", "postgresql://secret/a:b@h/db?pool=0"),
    ],
)
async def test_no_error_of_a_url_shows_its_password(url: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        await Holdfast.open(url)
    assert "secret" not in str(refused.value)
    assert "secret" not in str(refused.value.facts)
