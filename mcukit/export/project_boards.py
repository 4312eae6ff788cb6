# SPDX-License-Identifier: Apache-2.0
"""What a firmware project says of a board, and boards that it leaves out."""

from __future__ import annotations

__all__ = ["Environment", "LeftOut", "environments_for"]

import re
from collections.abc import Sequence
from dataclasses import dataclass

from mcukit.boards import Board, MemoryRegion
from mcukit.export.names import comment_text
from mcukit.export.project_model import PORTS, ProjectModel
from mcukit.planning.plan import DEFAULT_REGION
from mcukit.quantities import counted
from mcukit.quantized.kernel_sets import KernelSet

_ESPRESSIF = "espressif32"
_BOOT_BYTES = 0x10000
"""What boot loader and partition table take at the beginning of Espressif's flash, which partitions are aligned to."""


@dataclass(frozen=True)
class LeftOut:
    """A board without an environment, and why, as a sentence without its full stop."""

    board: str
    reason: str


@dataclass(frozen=True)
class Environment:
    """A board under one framework.

    name: of the environment. is_default: whether `pio run` builds it; the board's other frameworks are built by name.
    keeps_input: whether there is room for a copy of the input, so that one input serves many inferences.
    kernels: the set that runs there; that of DSP kernels without DSP instructions is the portable one.
    """

    name: str
    board: Board
    framework: str
    is_default: bool
    keeps_input: bool
    kernels: KernelSet
    own_regions: tuple[MemoryRegion, ...]
    """Regions with arenas that the framework's linker script does not know."""

    @property
    def title(self) -> str:
        """The board's name for a comment."""
        return comment_text(self.board.name)

    @property
    def macro(self) -> str:
        """What is defined where a project has several boards."""
        return f"MCUKIT_BOARD_{re.sub('[^A-Z0-9]', '_', self.board.id.upper())}"

    @property
    def counter(self) -> str:
        """The macro that tells ports what counts cycles."""
        return f"MCUKIT_COUNTER_{self.board.cycle_counter.value.upper().replace('-', '_')}"

    @property
    def serial_pins(self) -> tuple[str, str] | None:
        """Pins rx and tx, where the Arduino core knows them by these names and may have chosen others."""
        serial = self.board.serial
        stm32_pins = all(re.fullmatch(r"P[A-K]\d{1,2}", pin) for pin in (serial.rx, serial.tx))
        is_stm32 = self.board.platformio is not None and self.board.platformio.platform == "ststm32"
        return (serial.rx, serial.tx) if is_stm32 and stm32_pins else None

    @property
    def is_espressif(self) -> bool:
        """Whether the flash has partitions and the processor's clock is the project's choice."""
        return self.board.platformio is not None and self.board.platformio.platform == _ESPRESSIF

    @property
    def app_bytes(self) -> int:
        """Of the application's partition: all flash behind boot loader and partition table."""
        return self.board.flash_bytes // _BOOT_BYTES * _BOOT_BYTES

    @property
    def flash_mebibytes(self) -> int:
        """Size of the flash chip."""
        return (self.app_bytes + _BOOT_BYTES) >> 20


def environments_for(
    model: ProjectModel, boards: Sequence[Board], *, only_fitting: bool
) -> tuple[tuple[Environment, ...], tuple[LeftOut, ...]]:
    """The environments of all boards, and the boards that can't have one.

    only_fitting: leave out boards whose memory is too small; otherwise the linker has the last word.
    """
    found: list[Environment] = []
    left_out: list[LeftOut] = []
    for board in boards:
        reason = _no_port(board) or (_too_small(model, board) if only_fitting else "")
        if reason:
            left_out.append(LeftOut(board.id, reason))
        else:
            found += _environments(model, board)
    return tuple(found), tuple(left_out)


def _environments(model: ProjectModel, board: Board) -> list[Environment]:
    """One for each framework with a port; the first has the board's id for a name."""
    frameworks = [port for port in PORTS if board.platformio and port in board.platformio.frameworks]
    linked = board.linked_regions
    own = tuple(board.region(name) for name in model.arenas if name not in (*linked, DEFAULT_REGION))
    return [
        Environment(
            name=board.id if index == 0 else f"{board.id}-{framework}",
            board=board,
            framework=framework,
            is_default=index == 0,
            keeps_input=_free_ram(model, board) >= model.input_bytes,
            kernels=model.kernels if board.dsp or model.kernels is not KernelSet.DSP else KernelSet.PORTABLE,
            own_regions=own,
        )
        for index, framework in enumerate(frameworks)
    ]


def _no_port(board: Board) -> str:
    """Why there is no project for a board; empty if there is."""
    if board.platformio is None:
        return "its file has no [platformio]"
    if not set(PORTS) & set(board.platformio.frameworks):
        return (
            f"of its frameworks, {', '.join(board.platformio.frameworks)}, none has a port; {' and '.join(PORTS)} have"
        )
    return ""


def _too_small(model: ProjectModel, board: Board) -> str:
    missing = -_free_ram(model, board)
    if missing > 0:
        return f"the arena needs {counted(missing, 'byte')} of RAM more than it has"
    missing = model.weight_bytes - board.flash_bytes
    return f"the weights need {counted(missing, 'byte')} of flash more than it has" if missing > 0 else ""


def _free_ram(model: ProjectModel, board: Board) -> int:
    """Bytes that arena and reserve leave in what the framework's linker script fills; negative where they don't fit."""
    linked = board.linked_regions
    used = sum(size for region, size in model.arenas.items() if region in (*linked, DEFAULT_REGION))
    return sum(board.region(name).bytes for name in linked) - board.placement.reserve - used
