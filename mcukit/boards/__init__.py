# SPDX-License-Identifier: Apache-2.0
"""The boards that mcukit knows: one TOML file each, in boards/ or wherever a user keeps one of their own."""

from __future__ import annotations

__all__ = [
    "CORES",
    "Board",
    "Core",
    "CycleCounter",
    "FlashTiming",
    "MemoryRegion",
    "Placement",
    "PlatformIO",
    "Serial",
    "is_board_path",
    "list_boards",
    "load_board",
    "read_board",
]

from mcukit.boards.board import Board, FlashTiming, MemoryRegion, Placement, PlatformIO, Serial
from mcukit.boards.cores import CORES, Core, CycleCounter
from mcukit.boards.known import is_board_path, list_boards, load_board
from mcukit.boards.read import read_board
