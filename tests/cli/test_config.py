"""`holdfast --config`: the configuration of a command, from a file and the environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.program import invoke


def test_a_command_keeps_to_the_configuration_it_was_given(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is read, and the environment goes before it."""
    file = tmp_path / "holdfast.toml"
    file.write_text("[state]\nvalue_bytes_max = 20\n")
    setting = ("-s", store, "--config", str(file), "state", "set", "user/ada", "k")
    assert invoke(*setting, '"12345678901234567890"').code == 2
    assert invoke(*setting, '"short"').code == 0
    monkeypatch.setenv("HOLDFAST_STATE__VALUE_BYTES_MAX", "5")
    refused = invoke(*setting, '"short"')
    assert (refused.code, "value_bytes_max" in refused.err or "too_large" in refused.err) == (2, True)


def test_a_configuration_that_is_not_there_or_says_nothing_known_is_refused(store: str, tmp_path: Path) -> None:
    """Not found is 3, wrong usage 2, and the place is named."""
    missing = invoke("-s", store, "--config", "none.toml", "session", "list")
    assert (missing.code, "none.toml" in missing.err) == (3, True)
    file = tmp_path / "holdfast.toml"
    file.write_text("[stat]\n")
    unknown = invoke("-s", store, "--config", str(file), "session", "list")
    assert (unknown.code, "'stat'" in unknown.err) == (2, True)
