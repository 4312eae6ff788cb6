# SPDX-License-Identifier: Apache-2.0
"""What a measurement on a board found: ticks of each layer, of what counter, and what firmware ran."""

from __future__ import annotations

__all__ = ["BenchResult", "Clock", "Estimate", "LayerTicks", "Ticks", "clock_of"]

from dataclasses import dataclass
from enum import Enum
from statistics import median_low

from mcukit.bench.client import Banner
from mcukit.bench.firmware import INSTRUCTION_NANOSECONDS
from mcukit.bench.ports import emulated_name
from mcukit.emulation.targets import EMULATED_BOARDS

_EMULATED = "emulated-"
_NANOSECONDS = 1_000_000_000


class Clock(Enum):
    """What a port's ticks are. Only a board's are a board's time."""

    BOARD = "board"
    """Time on a board: cycles of its processor, or of the timer that its port counts instead."""

    INSTRUCTIONS = "instructions"
    """A machine that mcukit emulates: its counters run with the instructions, and tell no time."""

    COMPUTER = "computer"
    """Time on this computer, where the firmware ran as a program."""

    UNKNOWN = "unknown"
    """An emulated board behind a line of its own: how its counters run is its emulator's matter."""

    @property
    def is_time(self) -> bool:
        return self in {Clock.BOARD, Clock.COMPUTER}

    def meaning(self, ticks_per_second: int) -> str:
        """Of a tick, in words."""
        return {
            Clock.BOARD: f"the board's counter, {ticks_per_second:,} ticks per second",
            Clock.INSTRUCTIONS: f"instructions in an emulator, {instructions_per_tick(ticks_per_second):g} per tick: "
            "no latency of a board",
            Clock.COMPUTER: f"this computer's clock, {ticks_per_second:,} ticks per second: no latency of a board",
            Clock.UNKNOWN: "an emulated counter that stands in for one: neither time nor instructions",
        }[self]


def clock_of(port: str, banner: Banner) -> Clock:
    """What the ticks are of the board at a port."""
    machine = EMULATED_BOARDS.get(emulated_name(port) or banner.board.removeprefix(_EMULATED))
    if machine is None:
        return Clock.BOARD
    if not machine.emulated:
        return Clock.COMPUTER
    return Clock.UNKNOWN if emulated_name(port) is None else Clock.INSTRUCTIONS


def instructions_per_tick(ticks_per_second: int) -> float:
    """Where an emulated machine's time goes on with its instructions."""
    return _NANOSECONDS / INSTRUCTION_NANOSECONDS / ticks_per_second


@dataclass(frozen=True)
class Ticks:
    """Of several runs. median: with an even number of runs the lower of the two in the middle, so that it occurred."""

    median: int
    minimum: int
    maximum: int

    @classmethod
    def of(cls, runs: list[int]) -> Ticks:
        return cls(median_low(runs), min(runs), max(runs))


@dataclass(frozen=True)
class LayerTicks:
    """name, op: of the layer. instructions: as counted for the build in the emulator; None without a count."""

    name: str
    op: str
    macs: int
    ticks: Ticks
    instructions: int | None


@dataclass(frozen=True)
class Estimate:
    """What the emulator counted for an inference when the build was made. compiler: as it calls itself."""

    target: str
    compiler: str
    instructions: int


@dataclass(frozen=True)
class BenchResult:
    """One measurement.

    model: the build's name. runs: inferences measured. warm_up: inferences before them. total: of whole inferences.
    layers: in the order of the generated C, without what runs between layers. estimate: None where the build has none.
    """

    model: str
    port: str
    banner: Banner
    clock: Clock
    ticks_per_second: int
    runs: int
    warm_up: int
    total: Ticks
    layers: tuple[LayerTicks, ...]
    estimate: Estimate | None

    def microseconds(self, ticks: int) -> float | None:
        """None where ticks are no time."""
        return ticks * 1e6 / self.ticks_per_second if self.clock.is_time else None

    def instructions(self, ticks: int) -> int | None:
        """What an emulated machine executed in that many ticks, give or take a tick; None where ticks are others."""
        if self.clock is not Clock.INSTRUCTIONS:
            return None
        return round(ticks * instructions_per_tick(self.ticks_per_second))

    def share(self, ticks: int) -> float:
        """Of the whole inference, 0 to 1."""
        return ticks / self.total.median if self.total.median else 0.0

    @property
    def between_layers(self) -> int:
        """Ticks of an inference that belong to no layer: the schedule, and the counting itself."""
        return max(0, self.total.median - sum(layer.ticks.median for layer in self.layers))
