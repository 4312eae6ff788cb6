# SPDX-License-Identifier: Apache-2.0
"""Bits searched together with the stages that they run in: bytes that don't fit go before all else."""

from __future__ import annotations

__all__ = ["Excess", "MemoryFirst", "Room", "memory_costs", "ranges_at_hand", "whole_model"]

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from mcukit.calibration.ranges import Range, choose_range
from mcukit.calibration.statistics import MapStatistics
from mcukit.graph.graph import Graph
from mcukit.planning.candidates import LAYER_BY_LAYER, STREAM
from mcukit.planning.costs import DEFAULT_TARGET, load_costs
from mcukit.planning.dataflow import Dataflow
from mcukit.planning.kernel_choice import choose_kernels
from mcukit.planning.lean_kernels import with_lean_kernels
from mcukit.planning.plan import Stage
from mcukit.planning.schedule import partition
from mcukit.planning.search import PlanSearch, default_shapes
from mcukit.precision.bitops import BitopsCost
from mcukit.precision.memory_steps import ExcessBytes, memory_steps
from mcukit.precision.sensitivity import Cost
from mcukit.quantized.integer import IntegerModel
from mcukit.quantized.kernel_sets import KernelSet
from mcukit.quantized.lower import lower
from mcukit.quantized.precision import INT8, Precision, quantization_groups, widest_choice
from mcukit.quantized.quantize import quantize_graph


@dataclass(frozen=True)
class Room:
    """What a network must fit. fits: whether one can be planned in it. sram: bytes, None where only flash is limited.

    pushed: whether rows of the input are pushed. kernels: the set of C kernels that it is computed with.
    target: the core whose costs plans are made with. counts_code: whether code decides, which may grow where bits
    become fewer. fits_flash: whether a network fits as far as flash is concerned; None where that is not limited.
    """

    fits: Callable[[IntegerModel], bool]
    sram: int | None = None
    pushed: bool = False
    kernels: KernelSet = KernelSet.PORTABLE
    target: str = DEFAULT_TARGET
    counts_code: Callable[[IntegerModel], bool] | None = None
    fits_flash: Callable[[IntegerModel], bool] | None = None


class Excess(Protocol):
    """Bytes that don't fit: ExcessBytes of memory, or ExcessWeights of flash."""

    def __call__(self, precision: Precision) -> int: ...

    def with_room_for(self, precision: Precision) -> Excess:
        """The same with a budget that these bits just fit."""


@dataclass(frozen=True)
class MemoryFirst:
    """A cost: another one, such as BitOPs, and bytes that don't fit, each of which counts as much as all of that."""

    cost: Cost
    excess: tuple[Excess, ...]

    def __call__(self, precision: Precision) -> float:
        return self.cost(precision) + self.cost(INT8) * sum(excess(precision) for excess in self.excess)

    def with_room_for(self, precision: Precision) -> MemoryFirst:
        """The same where these bits fit, as a plan for them has shown: behind them a search goes on to `cost`."""
        return MemoryFirst(self.cost, tuple(excess.with_room_for(precision) for excess in self.excess))


def ranges_at_hand(statistics: Mapping[str, MapStatistics]) -> dict[str, Range]:
    """Of every map, by name: for what does not depend on how well they are chosen."""
    return {name: choose_range(item, "min-max") for name, item in statistics.items()}


def whole_model(
    graph: Graph,
    statistics: Mapping[str, MapStatistics],
    precision: Precision,
    kernels: KernelSet = KernelSet.PORTABLE,
    target: str = DEFAULT_TARGET,
) -> IntegerModel:
    """An integer model of these bits, for its sizes: ranges and weights are those at hand.

    target: the core by whose costs kernels of the set, and of those before it, are chosen.
    """
    model = lower(quantize_graph(graph, ranges_at_hand(statistics), precision), kernels)
    return choose_kernels(model, load_costs(target))


def memory_costs(
    graph: Graph,
    statistics: Mapping[str, MapStatistics],
    sram: int,
    *,
    pushed: bool,
    cost: Cost | None = None,
    target: str = DEFAULT_TARGET,
    kernels: KernelSet = KernelSet.PORTABLE,
) -> tuple[MemoryFirst, ...]:
    """What a search over bits can make less so that a network fits `sram` bytes, one cost for each of several cuts.

    Bytes over the budget count more than all of `cost`, which is BitOPs by default. Which stages need least memory
    depends on the bits, and which bits are worth having depends on the stages: so the cuts that suit a network of 8
    bits are tried beside those that suit it with all maps at 4, as the two ends of what a search goes through. Memory
    is counted with the kernels that need least: layers get these before bits become fewer.
    """
    model = with_lean_kernels(whole_model(graph, statistics, INT8, kernels, target), load_costs(target))
    other, flow = cost or BitopsCost(graph), Dataflow(model)
    found = []
    for stages in _cuts(graph, statistics, pushed, target, kernels):
        steps = memory_steps(graph, flow, partition(flow, stages, pushed), pushed=pushed)
        found.append(MemoryFirst(other, (ExcessBytes(graph, steps, sram),)))
    return tuple(found)


def _cuts(
    graph: Graph, statistics: Mapping[str, MapStatistics], pushed: bool, target: str, kernels: KernelSet
) -> tuple[tuple[Stage, ...], ...]:
    """Stages of the smallest arena with 8 bits, and with 4 for every map but the input; each once."""
    groups = quantization_groups(graph)
    inputs = {groups[name] for name in graph.inputs}
    narrow = {group: 4 for group, widths in widest_choice(graph).items() if 4 in widths and group not in inputs}
    shapes = (LAYER_BY_LAYER, STREAM) if pushed else default_shapes()
    cuts: dict[tuple[Stage, ...], None] = {}
    for precision in (INT8, Precision(narrow)):
        model = whole_model(graph, statistics, precision, kernels, target)
        flow = Dataflow(with_lean_kernels(model, load_costs(target)))
        plan = PlanSearch(flow, load_costs(target), shapes, pushed=pushed).smallest()
        if plan is not None:
            cuts[plan.plan.stages] = None
    return tuple(cuts)
