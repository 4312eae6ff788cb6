# SPDX-License-Identifier: Apache-2.0
"""Where the flash of emulated boards lies: what is uploaded to one is kept there until it is powered on."""

from __future__ import annotations

__all__ = ["emulated_image_path"]

from pathlib import Path

from mcukit.emulation.targets import EMULATED_BOARDS

_FOLDER = ".emulated"


def emulated_image_path(project_folder: Path, name: str) -> Path:
    """The program that the port `emulated:NAME` runs. name: one of EMULATED_BOARDS; others raise ValueError.

    project_folder: the firmware project, which is `firmware` in a build folder. Whoever uploads to an emulated board
    writes the image there, under another name first, and then renames it, so that it is whole whenever it is there.
    """
    if name not in EMULATED_BOARDS:
        raise ValueError(f"{name!r} is no emulated board")
    return project_folder / _FOLDER / f"{name}.elf"
