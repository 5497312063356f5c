"""Which files the demo takes, and how any path is written as text."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.cli.demo.files import Listing, list_files, spell, unspell


def listed(root: Path, **bounds: int) -> Listing:
    return list_files(os.fsencode(root), store=root / "holdfast-demo.db", **bounds)


def touch(root: Path, *names: str, size: int = 1) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * size)


def test_files_are_listed_folder_by_folder_in_the_order_of_their_names(tmp_path: Path) -> None:
    touch(tmp_path, "b.txt", "a.txt", "sub/z.txt", "sub/deep/c.txt", "alpha/1", ".hidden-file")
    found = listed(tmp_path)
    assert found.names == [".hidden-file", "a.txt", "b.txt", "alpha/1", "sub/z.txt", "sub/deep/c.txt"]
    assert found.bytes == 6
    assert found.capped is None


def test_hidden_folders_environments_and_what_tools_put_aside_are_left_out(tmp_path: Path) -> None:
    touch(
        tmp_path,
        "kept.py",
        ".git/config",
        "venv/pyvenv.cfg",
        "venv/lib/a.py",
        "conda/conda-meta/history",
        "conda/lib/a.py",
        "web/node_modules/x/index.js",
        "web/app.js",
        "__pycache__/a.pyc",
    )
    found = listed(tmp_path)
    assert found.names == ["kept.py", "web/app.js"]
    assert found.folders_left_out == 5


def test_its_own_store_is_left_out_with_everything_beside_it(tmp_path: Path) -> None:
    touch(
        tmp_path,
        "holdfast-demo.db",
        "holdfast-demo.db-wal",
        "holdfast-demo.db-shm",
        "holdfast-demo.db2",
        "sub/other.db",
    )
    found = listed(tmp_path)
    assert found.names == ["holdfast-demo.db2", "sub/other.db"]
    assert found.others_left_out == 3


def test_a_store_that_is_reached_by_a_link_is_left_out_where_it_really_is(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for name in ("real.db", "real.db-wal", "real.db-lock", "kept.txt"):
        (tmp_path / "data" / name).write_text("x")
    (tmp_path / "holdfast-demo.db").symlink_to(tmp_path / "data" / "real.db")
    assert listed(tmp_path).names == ["data/kept.txt"]


def test_links_pipes_and_sockets_are_left_out_and_a_loop_is_no_trap(tmp_path: Path) -> None:
    touch(tmp_path, "real.txt", "sub/a.txt")
    (tmp_path / "link.txt").symlink_to("real.txt")
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "sub" / "loop").symlink_to("..")
    os.mkfifo(tmp_path / "pipe")
    found = listed(tmp_path)
    assert found.names == ["real.txt", "sub/a.txt"]
    assert (found.links_left_out, found.others_left_out) == (3, 1)


def test_a_root_that_would_be_left_out_below_another_is_gone_into(tmp_path: Path) -> None:
    touch(tmp_path, ".config/pyvenv.cfg", ".config/a.py")
    assert listed(tmp_path / ".config").names == ["a.py", "pyvenv.cfg"]


def test_an_empty_folder_has_no_files(tmp_path: Path) -> None:
    assert listed(tmp_path) == Listing([], 0, 0, 0, 0)


def test_a_folder_that_vanishes_or_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    found = listed(tmp_path / "gone")
    assert (found.names, found.folders_left_out) == ([], 1)


def test_the_list_is_cut_at_its_bounds_and_says_so(tmp_path: Path) -> None:
    touch(tmp_path, "a", "b", "c", "d", size=10)
    assert listed(tmp_path, files_max=4).capped is None
    by_number = listed(tmp_path, files_max=3)
    assert (by_number.names, by_number.capped) == (["a", "b", "c"], "the first 3 files")
    assert by_number.files_beyond == 1
    assert listed(tmp_path, bytes_max=40).capped is None
    by_size = listed(tmp_path, bytes_max=39)
    assert (by_size.names, by_size.files_beyond) == (["a", "b", "c"], 1)
    assert by_size.capped is not None
    assert by_size.capped.startswith("the first 3 files")


def test_a_single_file_beyond_the_bytes_is_still_taken(tmp_path: Path) -> None:
    touch(tmp_path, "large", size=100)
    assert listed(tmp_path, bytes_max=10).names == ["large"]


def test_names_that_are_no_text_are_listed_and_lead_back_to_their_files(tmp_path: Path) -> None:
    names = [b"caf\xe9.txt", b"new\nline", b"50%25", b"\x1b[31m", "é".encode(), b"plain"]
    for name in names:
        with open(os.path.join(os.fsencode(tmp_path), name), "wb") as file:
            file.write(name)
    found = listed(tmp_path)
    assert sorted(found.names) == sorted(["caf%E9.txt", "new%0Aline", "50%2525", "%1B[31m", "é", "plain"])
    for name in found.names:
        with open(os.path.join(os.fsencode(tmp_path), unspell(name)), "rb") as file:
            assert file.read() == unspell(name)


@given(st.binary(min_size=1, max_size=40))
def test_any_path_comes_back_from_its_spelling_and_the_spelling_is_clean_text(path: bytes) -> None:
    text = spell(path)
    assert unspell(text) == path
    assert text.isprintable()
    text.encode()


@pytest.mark.parametrize("text", ["a.txt", "with space", "é", "[x] (y)"])
def test_an_ordinary_path_is_spelt_as_it_is(text: str) -> None:
    assert spell(text.encode()) == text
