# SPDX-License-Identifier: Apache-2.0
"""How long steps tell how far they are."""

from __future__ import annotations

__all__ = ["Progress", "no_progress"]

from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""Called with the name of the stage, what is done of it and how much there is."""


def no_progress(_stage: str, _done: int, _total: int) -> None:
    """For callers who don't want to know."""
