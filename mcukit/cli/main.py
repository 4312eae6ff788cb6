# SPDX-License-Identifier: Apache-2.0
"""The console script's entry point. Ctrl-C ends it quietly from the first moment: loading the rest takes a while."""

from __future__ import annotations

__all__ = ["INTERRUPTED", "main"]

import os
import signal
from types import FrameType
from typing import NoReturn

INTERRUPTED = 130
"""128 + SIGINT, as shells report it."""


def main() -> None:
    """Runs the command that sys.argv names, and ends the program."""
    # Otherwise it is ignored, as by what a shell runs in the background.
    heeds = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if heeds:
        signal.signal(signal.SIGINT, _leave)
    from mcukit.cli.command_line import cli, interrupts

    if heeds:
        signal.signal(signal.SIGINT, interrupts.interrupt)
    cli(prog_name="mcukit")


def _leave(number: int, frame: FrameType | None) -> NoReturn:  # noqa: ARG001 - what signals give
    """Ends the program while nothing is begun yet; modules that are just being loaded are not to see an exception."""
    os._exit(INTERRUPTED)
