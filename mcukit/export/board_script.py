# SPDX-License-Identifier: Apache-2.0
"""The linker script of a board: its memory as sections of generated C ask for it."""

from __future__ import annotations

__all__ = ["board_script"]

import mcukit
from mcukit.boards import Board
from mcukit.export.names import comment_text
from mcukit.export.rendering import templates


def board_script(board: Board) -> str:
    """For programs without a framework. Sections are named after regions, see mcukit.report.regions for their sizes."""
    kinds = {region.name: region.kind for region in board.memory}
    return (
        templates()
        .get_template("board.ld.j2")
        .render(
            version=mcukit.__version__,
            title=comment_text(board.name),
            regions=board.memory,
            code=board.code_region,
            flash=[n for n in board.placement.weights if kinds[n] == "flash" and n != board.code_region],
            copies=[name for name in board.placement.weights if kinds[name] == "ram"],
            arenas=board.placement.arena,
            default_arena=board.default_region,
            stack=board.placement.stack,
            reserve=board.placement.reserve,
        )
    )
