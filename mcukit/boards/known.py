# SPDX-License-Identifier: Apache-2.0
"""Boards by the ids of those that come with mcukit, and by the paths of users' own."""

from __future__ import annotations

__all__ = ["is_board_path", "list_boards", "load_board"]

import difflib
import re
from pathlib import Path

from mcukit.boards.board import Board
from mcukit.boards.read import ID, read_board
from mcukit.errors import McukitError
from mcukit.resources import boards_dir


def is_board_path(id_or_path: str) -> bool:
    """Whether this is the path of a board file and no id: it ends in ".toml" or has a slash in it."""
    return id_or_path.endswith(".toml") or "/" in id_or_path


def load_board(id_or_path: str | Path) -> Board:
    """A board by its id, or by the path of a TOML file.

    Raises McukitError "unknown-board", "unreadable-file", or "invalid-file" with all that is wrong in it.
    """
    text = str(id_or_path)
    if isinstance(id_or_path, Path) or is_board_path(text):
        return read_board(Path(id_or_path))
    path = boards_dir() / f"{text}.toml"
    # The pattern keeps names such as ".." away from the file system.
    if re.fullmatch(ID, text) is None or not path.is_file():
        raise _unknown(text)
    return read_board(path)


def list_boards() -> tuple[Board, ...]:
    """All boards that come with mcukit, by id."""
    paths = sorted(boards_dir().glob("*.toml"), key=lambda path: path.name.lower())
    return tuple(read_board(path) for path in paths)


def _unknown(text: str) -> McukitError:
    ids = sorted(path.stem for path in boards_dir().glob("*.toml"))
    by_lower_case = {board_id.lower(): board_id for board_id in ids}
    close = difflib.get_close_matches(text.lower()[:100], by_lower_case, n=1)
    guess = f"did you mean {by_lower_case[close[0]]}? " if close else ""
    return McukitError(
        "unknown-board",
        f"there is no board {text[:100]!r}",
        hint=f"{guess}known are {', '.join(ids)}; for another one give the path of a TOML file",
        exit_code=2,
    )
