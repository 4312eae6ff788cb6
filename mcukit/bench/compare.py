# SPDX-License-Identifier: Apache-2.0
"""Two measurements beside each other: what changed, in which layer, and what else was different."""

from __future__ import annotations

__all__ = ["Change", "Comparison", "ConfigurationChange", "compare"]

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from mcukit.bench.result import BenchResult, Clock
from mcukit.errors import McukitError

Unit = Literal["microseconds", "instructions", "ticks"]


@dataclass(frozen=True)
class Change:
    """A layer or the whole before and after, in the comparison's unit; None where it is not there."""

    name: str
    before: float | None
    after: float | None

    @property
    def percent(self) -> float | None:
        """Of change: 0 is none, -50 half as much. None where one of the two is missing or zero."""
        if self.before is None or self.after is None or self.before == 0:
            return None
        return 100 * (self.after / self.before - 1)


@dataclass(frozen=True)
class ConfigurationChange:
    """Something else that is different, and may be why."""

    name: str
    before: str
    after: str


@dataclass(frozen=True)
class Comparison:
    """unit: of total and layers. layers: in the order of the first measurement, then those of the second alone.

    same_network: whether layers of one name do the same work; where they don't, only the totals are compared.
    """

    unit: Unit
    total: Change
    layers: tuple[Change, ...]
    configuration: tuple[ConfigurationChange, ...]
    same_network: bool = True


def compare(before: BenchResult, after: BenchResult) -> Comparison:
    """Medians in microseconds, or in instructions where both were measured in mcukit's emulator.

    Raises McukitError "not-comparable" where one of them is no time and the other one is.
    """
    unit = _unit(before, after)
    ours = {layer.name: _value(before, layer.ticks.median, unit) for layer in before.layers}
    theirs = {layer.name: _value(after, layer.ticks.median, unit) for layer in after.layers}
    same = _same_network(before, after)
    names = [*ours, *(name for name in theirs if name not in ours)] if same else []
    first, second = _configuration(before), _configuration(after)
    return Comparison(
        unit,
        Change("total", _value(before, before.total.median, unit), _value(after, after.total.median, unit)),
        tuple(Change(name, ours.get(name), theirs.get(name)) for name in names),
        tuple(ConfigurationChange(name, first[name], second[name]) for name in first if first[name] != second[name]),
        same,
    )


def _same_network(before: BenchResult, after: BenchResult) -> bool:
    """Whether layers of one name are the same operator with as many MACs; under another name of the network, all."""
    ours, theirs = ({layer.name: (layer.op, layer.macs) for layer in result.layers} for result in (before, after))
    if before.model != after.model:
        return ours == theirs
    shared = ours.keys() & theirs.keys()
    return bool(shared) and all(ours[name] == theirs[name] for name in shared)


def _unit(before: BenchResult, after: BenchResult) -> Unit:
    if before.clock.is_time and after.clock.is_time:
        return "microseconds"
    if before.clock is after.clock is Clock.INSTRUCTIONS:
        return "instructions"
    if before.clock is after.clock and before.ticks_per_second == after.ticks_per_second:
        return "ticks"
    meanings = [result.clock.meaning(result.ticks_per_second) for result in (before, after)]
    raise McukitError(
        "not-comparable",
        f"the one counts {meanings[0]}; the other counts {meanings[1]}",
        where="--compare",
        hint="compare measurements on boards with each other, or those in the emulator",
    )


def _value(result: BenchResult, ticks: int, unit: Unit) -> float:
    value = {
        "microseconds": result.microseconds(ticks),
        "instructions": result.instructions(ticks),
        "ticks": ticks,
    }[unit]
    if value is None:
        raise AssertionError("the unit was chosen for both")
    return value


def _configuration(result: BenchResult) -> Mapping[str, str]:
    banner = result.banner
    return {
        "network": banner.model,
        "model hash": banner.model_hash,
        "board": banner.board,
        "kernels": banner.kernels,
        "compiler": banner.compiler,
        "compiler flags": banner.compiler_flags,
        "arena bytes": banner.arena_bytes,
        "protocol": banner.protocol,
        "counter": result.clock.meaning(result.ticks_per_second),
        "runs": f"{result.runs} after {result.warm_up}",
    }
