# SPDX-License-Identifier: Apache-2.0
"""The folders that mcukit finds for itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcukit import resources
from mcukit.errors import McukitError


def test_the_checkout_has_the_firmware() -> None:
    assert (resources.firmware_dir() / "app" / "runner.c").is_file()


def test_an_installed_wheel_comes_before_a_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "mcukit"
    for firmware in (package / "_data" / "firmware", tmp_path / "firmware"):
        (firmware / "mcukit_nn").mkdir(parents=True)
    monkeypatch.setattr(resources, "_PACKAGE", package)
    assert resources.firmware_dir() == package / "_data" / "firmware"


def test_an_installation_without_firmware_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "_PACKAGE", tmp_path / "mcukit")
    with pytest.raises(McukitError) as caught:
        resources.firmware_dir()
    assert caught.value.problems[0].code == "broken-installation"


def test_the_cache_lies_where_the_user_wants_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "own"))
    assert resources.cache_dir() == tmp_path / "own" / "mcukit"
    assert resources.cache_dir().is_dir()


@pytest.mark.parametrize("value", ["", "relative/folder"])
def test_a_relative_cache_folder_is_ignored(value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", value)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert resources.cache_dir() == tmp_path / ".cache" / "mcukit"


def test_a_cache_that_can_not_be_created_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mcukit").write_text("a file is in the way")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(McukitError) as caught:
        resources.cache_dir()
    assert caught.value.problems[0].code == "cache-unusable"


def test_the_runtime_has_the_licence_of_the_whole() -> None:
    assert resources.licence_text() == (Path(__file__).parent.parent / "LICENSE").read_text()
