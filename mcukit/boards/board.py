# SPDX-License-Identifier: Apache-2.0
"""What mcukit must know of a board."""

from __future__ import annotations

__all__ = ["DEFAULT_RESERVE", "Board", "FlashTiming", "MemoryRegion", "Placement", "PlatformIO", "Serial"]

from dataclasses import dataclass
from typing import Literal

from mcukit.boards.cores import CORES, CycleCounter
from mcukit.planning.region_budget import RegionBudget

DEFAULT_RESERVE = 8192
"""Bytes of the stack's region that stay free for stack and application where a board file says nothing else."""


@dataclass(frozen=True)
class MemoryRegion:
    """Memory in one piece.

    address: of its first byte, as the processor reads data. bytes: its size. dma: whether DMA that serves peripherals
    reaches it: the network's input, which a camera may write, is kept out of regions where it does not.
    """

    name: str
    address: int
    bytes: int
    kind: Literal["ram", "flash"]
    dma: bool = True
    note: str = ""

    @property
    def end(self) -> int:
        """The address after the last byte."""
        return self.address + self.bytes


@dataclass(frozen=True)
class Placement:
    """The names of the regions that may hold arenas and weights, fastest first, and of the one that holds the stack.

    weights: regions of RAM before those of flash get copies of weights that are read often.
    reserve: bytes of the stack's region that arenas and weights leave to stack and application.
    """

    arena: tuple[str, ...]
    weights: tuple[str, ...]
    stack: str
    reserve: int = DEFAULT_RESERVE


@dataclass(frozen=True)
class FlashTiming:
    """How long the processor waits for its flash at the board's clock.

    wait_states: of one read, in cycles of the flash. clock_divider: cycles of the processor in one of the flash.
    line_bytes: what is read at once, and kept together in a cache.
    instruction_cache_*, data_cache_*: bytes, and the number of lines that compete for one address; equal to the number
    of all lines where each may be anywhere. Bytes are 0 without a cache.
    """

    wait_states: int
    clock_divider: int
    line_bytes: int
    instruction_cache_bytes: int
    instruction_cache_ways: int
    data_cache_bytes: int
    data_cache_ways: int


@dataclass(frozen=True)
class Serial:
    """The port that the firmware talks through.

    port: the peripheral. connection: what is between it and the computer: "st-link" and "usb-bridge" on the
    board, "usb" of the chip itself, or nothing but "pins". baud: bits per second. tx, rx: the chip's pins, empty where
    the connection is "usb", whose pins can't be chosen.
    """

    port: str
    connection: str
    baud: int
    tx: str = ""
    rx: str = ""


@dataclass(frozen=True)
class PlatformIO:
    """What PlatformIO calls a board and its development platform, and the frameworks that it has for the board.

    linked: the regions of RAM that the frameworks' linker scripts fill by themselves with data, stack and heap; empty
    where that is only the largest one for arenas that DMA reaches.
    """

    board: str
    platform: str
    frameworks: tuple[str, ...]
    linked: tuple[str, ...] = ()


@dataclass(frozen=True)
class Board:
    """What mcukit must know of a board.

    id: what users call it. core: a name in CORES. dsp, fpu: what the chip's maker put into the core, see Core.
    kernels: the set of kernels that is compiled for it. clock_hz: the highest processor clock. flash_timing: at that
    clock; None where it is not known. platformio: None where PlatformIO does not know the board. sources: the vendor's
    documents that all of this was taken from.
    """

    id: str
    name: str
    vendor: str
    core: str
    dsp: bool
    fpu: str
    kernels: str
    clock_hz: int
    cycle_counter: CycleCounter
    memory: tuple[MemoryRegion, ...]
    placement: Placement
    serial: Serial
    platformio: PlatformIO | None
    sources: tuple[str, ...]
    flash_timing: FlashTiming | None = None

    def region(self, name: str) -> MemoryRegion:
        """The memory region of that name. Raises KeyError if there is none."""
        for region in self.memory:
            if region.name == name:
                return region
        raise KeyError(name)

    @property
    def arena_regions(self) -> tuple[RegionBudget, ...]:
        """What may hold arenas, fastest first, with the bytes that the reserve leaves."""
        return tuple(self._budget(name) for name in self.placement.arena)

    @property
    def weight_regions(self) -> tuple[RegionBudget, ...]:
        """What may hold weights, fastest first. Of a region of RAM arenas take their part before."""
        return tuple(self._budget(name) for name in self.placement.weights)

    def _budget(self, name: str) -> RegionBudget:
        region = self.region(name)
        usable = region.bytes - (self.placement.reserve if name == self.placement.stack else 0)
        return RegionBudget(name, usable, region.kind, region.dma)

    @property
    def sram_bytes(self) -> int:
        """Usable bytes of the largest single region for an arena with the input: what needs no more fits for sure."""
        return max(region.bytes for region in self.arena_regions if region.dma)

    @property
    def flash_bytes(self) -> int:
        """Bytes of all flash that may hold weights."""
        return sum(region.bytes for region in self.weight_regions if region.kind == "flash")

    @property
    def ram_bytes(self) -> int:
        """Bytes of all RAM that holds arenas, copies of weights or the stack."""
        used = {*self.placement.arena, *self.placement.weights, self.placement.stack}
        return sum(region.bytes for region in self.memory if region.kind == "ram" and region.name in used)

    @property
    def default_region(self) -> str:
        """The largest region for arenas that DMA reaches: where an arena goes that no plan has put anywhere."""
        reached = [self.region(name) for name in self.placement.arena if self.region(name).dma]
        return max(reached, key=lambda region: region.bytes).name

    @property
    def code_region(self) -> str:
        """The region of flash that holds code, what RAM gets copies of, and weights without a region of their own."""
        return next(name for name in self.placement.weights if self.region(name).kind == "flash")

    @property
    def linked_regions(self) -> tuple[str, ...]:
        """The regions of RAM that a framework's linker script fills by itself; arenas in others need a script more."""
        if self.platformio is not None and self.platformio.linked:
            return self.platformio.linked
        return (self.default_region,)

    @property
    def emulation_target(self) -> str | None:
        """The name of the target in mcukit.emulation.targets that has this core; None where nothing emulates it."""
        return CORES[self.core].emulation_target

    @property
    def not_emulated(self) -> str:
        """Why nothing emulates this core, as a sentence without its full stop; empty where something does."""
        return CORES[self.core].not_emulated

    @property
    def cost_target(self) -> str:
        """The table of costs that plans for this board are made with."""
        return CORES[self.core].cost_target

    @property
    def costs_stand_in(self) -> bool:
        """Whether those costs are another core's, so that they tell which plan is better, but not what it takes."""
        return self.emulation_target is None
