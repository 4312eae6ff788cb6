# SPDX-License-Identifier: Apache-2.0
"""Where the files that belong to mcukit but are not Python lie, in a checkout and in an installed wheel."""

from __future__ import annotations

__all__ = ["boards_dir", "cache_dir", "firmware_dir", "licence_text"]

import os
from pathlib import Path

from mcukit.errors import McukitError

_PACKAGE = Path(__file__).resolve().parent


def firmware_dir() -> Path:
    """The folder with the C runtime, the ports and the applications.

    Raises McukitError "broken-installation" if neither the wheel nor a checkout has it.
    """
    return _data_dir("firmware", "mcukit_nn")


def boards_dir() -> Path:
    """The folder with one TOML file per board.

    Raises McukitError "broken-installation" if neither the wheel nor a checkout has it.
    """
    return _data_dir("boards", "nucleo_f446re.toml")


def licence_text() -> str:
    """The licence of the runtime, and of all that mcukit writes around a network.

    Raises McukitError "broken-installation" if neither the wheel nor a checkout has it.
    """
    return (firmware_dir() / "mcukit_nn" / "LICENSE").read_text(encoding="utf-8")


def _data_dir(name: str, content: str) -> Path:
    """The folder `name` of the wheel, or else of the checkout; known by `content`, which is always in it."""
    for candidate in (_PACKAGE / "_data" / name, _PACKAGE.parent / name):
        if (candidate / content).exists():
            return candidate
    raise McukitError(
        "broken-installation",
        f"the {name} folder is missing",
        where=str(_PACKAGE),
        hint="install mcukit again: pip install --force-reinstall mcukit",
    )


def cache_dir() -> Path:
    """The user's cache folder for compiled files, created if need be; safe to delete at any time."""
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    # The XDG specification tells to ignore relative paths.
    root = base if base.is_absolute() else Path.home() / ".cache"
    folder = root / "mcukit"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise McukitError(
            "cache-unusable",
            f"the cache folder can't be created: {error.strerror}",
            where=str(folder),
            hint="set XDG_CACHE_HOME to a folder that can be written",
        ) from error
    return folder
