# SPDX-License-Identifier: Apache-2.0
"""The table in boards/README.md of what has been tried of each board.

python -m tests.export.support_table prints it.
"""

from __future__ import annotations

__all__ = ["support_table"]

import sys

from mcukit.boards import Board, list_boards
from mcukit.emulation.targets import TARGETS
from mcukit.export.project_emulators import chip_machine
from mcukit.export.project_model import PORTS

HEAD = ("board", "core", "application, against stubs of", "network, linked with its memory", "emulated", "on the board")


def support_table() -> str:
    """One row for each board file, from what tests do with it."""
    rows = [HEAD, ("---",) * len(HEAD), *(_row(board) for board in list_boards())]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _row(board: Board) -> tuple[str, ...]:
    frameworks = board.platformio.frameworks if board.platformio else ()
    ports = [port for port in PORTS if port in frameworks]
    has_compiler = board.emulation_target is not None
    stubs = ", ".join(ports) if ports else "no port"
    return (
        f"`{board.id}`",
        board.core,
        stubs if has_compiler else f"{stubs}, for a RISC-V core in its place",
        "to the byte" if has_compiler else "never: no compiler",
        _emulated(board),
        "never",
    )


def _emulated(board: Board) -> str:
    if board.emulation_target is None:
        return "no"
    relative = " without its atomic instructions" if board.core == "rv32imac" else ""
    core = f"the core{relative}: {TARGETS[board.emulation_target].emulator_machine[1]}"
    chip = chip_machine(board)
    return f"{core}; the chip: {chip}" if chip else core


if __name__ == "__main__":
    sys.stdout.write(support_table())
