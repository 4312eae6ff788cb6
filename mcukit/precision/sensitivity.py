# SPDX-License-Identifier: Apache-2.0
"""Bits where they are missed least: measured errors at the network's output decide, and no proxy.

Each group of maps and each layer's weights are narrowed alone, and the error is measured against the float network:
like that, errors add up to what they do together, while against an 8-bit network they drown in its noise. Then whatever
saves most for the error that it adds is narrowed, step by step. At checkpoints the error of all that is narrowed is
measured and replaces the sum.
"""

from __future__ import annotations

__all__ = [
    "Cost",
    "ErrorModel",
    "Narrowing",
    "SearchStep",
    "Sensitivity",
    "SensitivityResult",
    "Target",
    "measure_sensitivities",
    "search_sensitivity",
]

import itertools
from collections.abc import Callable, Collection, Hashable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import Literal, Protocol

from mcukit.errors import McukitError
from mcukit.graph.graph import Graph
from mcukit.quantized.precision import INT8, Precision, check_precision, quantization_groups, widest_choice

Cost = Callable[[Precision], float]
"""What is to become less: BitOPs, estimated instructions, bytes. It is asked thousands of times."""

NARROW_BITS = (4, 2)

SMALLEST_ERROR = 1e-7
"""Errors below this are noise; a change that seems to add less is taken to add so much."""

CHECKPOINT = 8
"""Steps from one measurement of the whole error to the next."""


class ErrorModel(Protocol):
    """See mcukit.precision.simulated_error, which measures."""

    def of(self, precision: Precision) -> float:
        """The error against float with everything quantized."""

    def alone(
        self, changes: Sequence[Precision], progress: Callable[[int, int], None] | None = None
    ) -> tuple[float, ...]:
        """The errors against float of each change when nothing else is quantized."""


@dataclass(frozen=True)
class Narrowing:
    """Fewer bits for one thing. kind: a group of maps, by its representative, or the weights of a node."""

    kind: Literal["map", "weights"]
    name: str
    bits: int

    def applied(self, precision: Precision) -> Precision:
        if self.kind == "map":
            return replace(precision, maps={**precision.maps, self.name: self.bits})
        return replace(precision, weights={**precision.weights, self.name: self.bits})

    def bits_in(self, precision: Precision) -> int:
        """What the precision has in its place."""
        return (precision.maps if self.kind == "map" else precision.weights).get(self.name, 8)


@dataclass(frozen=True)
class Sensitivity:
    """error: at the output, with this alone."""

    narrowing: Narrowing
    error: float


@dataclass(frozen=True)
class Target:
    """When to stop; without a limit everything is narrowed that saves anything.

    added_error: over that of 8 bits everywhere, which is never exceeded. cost: that is to be reached.
    """

    added_error: float | None = None
    cost: float | None = None


@dataclass(frozen=True)
class SearchStep:
    """The network with something narrowed more than in the step before.

    narrowed: what that is: one thing, or a map with the weights that multiply it; nothing in the first step.
    estimated: error by the sum of sensitivities since the last measurement. measured: None where nothing was measured.
    """

    precision: Precision
    narrowed: tuple[Narrowing, ...]
    cost: float
    estimated: float
    measured: float | None = None

    @property
    def error(self) -> float:
        return self.estimated if self.measured is None else self.measured


@dataclass(frozen=True)
class SensitivityResult:
    """steps: from 8 bits everywhere to where the search stopped. chosen: position of the last step within the target.

    reached: whether the target's cost is met there; True where none was given.
    """

    sensitivities: tuple[Sensitivity, ...]
    steps: tuple[SearchStep, ...]
    chosen: int
    reached: bool

    @property
    def choice(self) -> SearchStep:
        return self.steps[self.chosen]

    def first_that(
        self, fits: Callable[[SearchStep], bool], kind: Callable[[SearchStep], Hashable] | None = None
    ) -> int | None:
        """Position of the first step within the target that fits; None if none does.

        Every step has fewer bits than the one before, and so needs no more memory. kind: where that is so only among
        neighbours of one kind.
        """
        kinds = [kind(step) if kind else None for step in self.steps[: self.chosen + 1]]
        for _, group in itertools.groupby(range(len(kinds)), kinds.__getitem__):
            positions = list(group)
            found = self._first_among(fits, positions[0], positions[-1])
            if found is not None:
                return found
        return None

    def _first_among(self, fits: Callable[[SearchStep], bool], low: int, high: int) -> int | None:
        if not fits(self.steps[high]):
            return None
        while low < high:
            middle = (low + high) // 2
            if fits(self.steps[middle]):
                high = middle
            else:
                low = middle + 1
        return high

    @property
    def front(self) -> tuple[SearchStep, ...]:
        """Measured steps of which none has both a lower cost and a lower error than another, by falling cost."""
        front: list[SearchStep] = []
        for step in reversed([step for step in self.steps if step.measured is not None]):
            if not front or step.error < front[-1].error:
                front.append(step)
        return tuple(reversed(front))


def measure_sensitivities(
    graph: Graph,
    errors: ErrorModel,
    *,
    map_bits: Collection[int] = NARROW_BITS,
    weight_bits: Collection[int] = NARROW_BITS,
    names: Collection[str] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Sensitivity, ...]:
    """The error of each thing that can be narrowed, alone, in the network's order.

    map_bits, weight_bits: widths below 8 that maps and weights may have; none to leave all of them at 8 bits.
    names: the groups of maps and the nodes that may be narrowed; by default all.
    """
    narrowings = tuple(
        narrowing for narrowing in _narrowings(graph, map_bits, weight_bits) if names is None or narrowing.name in names
    )
    found = errors.alone([narrowing.applied(INT8) for narrowing in narrowings], progress)
    return tuple(Sensitivity(narrowing, error) for narrowing, error in zip(narrowings, found, strict=True))


def search_sensitivity(
    graph: Graph,
    errors: ErrorModel,
    sensitivities: Sequence[Sensitivity],
    cost: Cost,
    target: Target,
    *,
    checkpoint: int = CHECKPOINT,
    progress: Callable[[float, float], None] | None = None,
) -> SensitivityResult:
    """Narrows step by step what saves most of `cost` for the error that it adds.

    What that is, is one map or one layer's weights, or a map together with the weights that multiply it: where kernels
    gain from both only, neither would be narrowed alone.

    sensitivities: what measure_sensitivities gives; of these things all others keep 8 bits. checkpoint: steps between
    measurements. progress: called after each step with (cost, error).
    Of equal changes the first is taken: the same arguments give the same steps.
    Raises McukitError "wrong-option" for a target that is none.
    """
    _check_target(target, checkpoint)
    search = _Search(errors, sensitivities, _bundles(graph, sensitivities), cost, target, checkpoint)
    search.run(progress)
    check_precision(graph, search.steps[-1].precision)
    chosen = search.last_within
    reached = target.cost is None or search.steps[chosen].cost <= target.cost
    return SensitivityResult(tuple(sensitivities), tuple(search.steps), chosen, reached)


def _narrowings(graph: Graph, map_bits: Collection[int], weight_bits: Collection[int]) -> Iterator[Narrowing]:
    for group, widths in widest_choice(graph).items():
        for bits in widths:
            if bits != 8 and bits in map_bits:
                yield Narrowing("map", group, bits)
    for node in graph.nodes:
        if node.operator.has_weights:
            for bits in NARROW_BITS:
                if bits in weight_bits:
                    yield Narrowing("weights", node.name, bits)


def _bundles(graph: Graph, sensitivities: Sequence[Sensitivity]) -> tuple[tuple[Narrowing, ...], ...]:
    """What is narrowed at once: each thing, and each map with the weights that multiply it, to the same bits."""
    single = [item.narrowing for item in sensitivities]
    groups = quantization_groups(graph)
    weights = {(item.name, item.bits): item for item in single if item.kind == "weights"}
    together = []
    for item in single:
        if item.kind == "map":
            readers = [node.name for node in graph.nodes if item.name in {groups[n] for n in graph.map_inputs(node)}]
            parts = [weights[reader, item.bits] for reader in readers if (reader, item.bits) in weights]
            together += [(item, *parts)] if parts else []
    return (*((item,) for item in single), *together)


def _check_target(target: Target, checkpoint: int) -> None:
    if target.added_error is not None and not target.added_error > 0.0:
        raise McukitError("wrong-option", "the error that may be added is not positive", hint="try 0.05", exit_code=2)
    if checkpoint < 1:
        raise McukitError("wrong-option", f"there is no checkpoint every {checkpoint} steps", exit_code=2)


@dataclass(eq=False)
class _Search:
    errors: ErrorModel
    sensitivities: Sequence[Sensitivity]
    bundles: Sequence[tuple[Narrowing, ...]]
    cost: Cost
    target: Target
    checkpoint: int
    steps: list[SearchStep] = field(default_factory=list)
    last_within: int = 0
    """The last step whose measured error is within the target."""

    def run(self, progress: Callable[[float, float], None] | None) -> None:
        base = self.errors.of(INT8)
        self.steps.append(SearchStep(INT8, (), self.cost(INT8), base, base))
        while not self._has_reached_cost():
            step = self._next()
            if step is None:
                break
            self.steps.append(step)
            if progress:
                progress(step.cost, step.error)
            if self._must_measure() and not self._measure():
                return
        if self.steps[-1].measured is None:
            self._measure()

    def _has_reached_cost(self) -> bool:
        return self.target.cost is not None and self.steps[-1].cost <= self.target.cost

    def _must_measure(self) -> bool:
        unmeasured = len(self.steps) - 1 - self.last_within
        return unmeasured >= self.checkpoint or not self._is_within(self.steps[-1]) or self._has_reached_cost()

    def _is_within(self, step: SearchStep) -> bool:
        limit = self.target.added_error
        return limit is None or step.error <= self.steps[0].error + limit

    def _next(self) -> SearchStep | None:
        """The step from here that saves most for the error that it adds; None where nothing saves anything."""
        here = self.steps[-1]
        alone = {item.narrowing: item.error for item in self.sensitivities}
        best: tuple[float, SearchStep] | None = None
        for bundle in self.bundles:
            narrowed = tuple(item for item in bundle if item.bits < item.bits_in(here.precision))
            if not narrowed:
                continue
            # What 8 bits add is part of the error at the beginning.
            before = [alone.get(replace(item, bits=item.bits_in(here.precision)), 0.0) for item in narrowed]
            added = sum(max(alone[item] - was, SMALLEST_ERROR) for item, was in zip(narrowed, before, strict=True))
            precision = reduce(lambda precision, item: item.applied(precision), narrowed, here.precision)
            cost = self.cost(precision)
            if cost < here.cost and (best is None or (here.cost - cost) / added > best[0]):
                best = (here.cost - cost) / added, SearchStep(precision, narrowed, cost, here.error + added)
        return None if best is None else best[1]

    def _measure(self) -> bool:
        """Measures the last step; where it is outside the target, finds the last one that is not. False to stop."""
        last = len(self.steps) - 1
        if self._measured(last):
            self.last_within = last
            return True
        outside = last
        while outside - self.last_within > 1:
            middle = (outside + self.last_within) // 2
            if self._measured(middle):
                self.last_within = middle
            else:
                outside = middle
        return False

    def _measured(self, position: int) -> bool:
        """Measures a step; whether it is within the target."""
        step = self.steps[position]
        if step.measured is None:
            self.steps[position] = replace(step, measured=self.errors.of(step.precision))
        return self._is_within(self.steps[position])
