# SPDX-License-Identifier: Apache-2.0
"""Which layers to run in tiles, and in which, so that TensorFlow Lite Micro needs the least memory.

The arena has two ends: tensors at the head, and at the tail what the interpreter keeps about each operator. Tiles make
the head smaller and the tail longer, so the search minimizes their sum. First it estimates, for every stretch of
layers and number of tiles, what that stretch needs alone; the stages that go together best follow from that. The best
sizes of the head are then looked for stage by stage with tensors placed, for memory that is free in pieces is of little
use: a stage fits if its tensors do between a map at one end of the arena and a map at one end. Rows become free at the
end of a map at which its reader begins, so each stage is tried with tiles that run downwards and upwards.
"""

from __future__ import annotations

__all__ = ["PatchedPlan", "choose_patched_stages", "patched_plans"]

import itertools
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce

from mcukit.errors import McukitError
from mcukit.export.tflite_aliases import tensor_groups
from mcukit.export.tflite_memory import TFLM_ALIGNMENT, least_head_bytes, planned_head_bytes, with_memory_plan
from mcukit.export.tflite_patches import build_patched_tflite, redundant_macs, stage_model
from mcukit.export.tflite_placement import fit
from mcukit.export.tflite_row_search import RowSearch
from mcukit.export.tflite_rows import row_tiles
from mcukit.export.tflite_tiles import Margins
from mcukit.planning.dataflow import Dataflow
from mcukit.planning.placement import Conflicts
from mcukit.planning.plan import Stage
from mcukit.planning.tiles import stage_tiles, tile_macs
from mcukit.quantized.integer import IntegerModel
from mcukit.tflite import schema
from mcukit.tflite.enums import BuiltinOperator
from mcukit.tflite.micro import measure_arena
from mcukit.tflite.writer import write_tflite

_MOST_LAYERS = 8
"""Layers in one tiled stage."""

_DRAFTS = 6
"""How many of the estimated plans give a size of the head to look for."""

_SLACKS = (1.0, 1.03, 1.1)
"""What the tensors of a plan may need beyond what is alive at once, because of gaps between them."""

_OPTIMISM = 1.05
"""Stages that are estimated to need this much more than there is may fit all the same."""

_COUNTS = 3
"""Numbers of tiles that are tried until a stage fits."""

_LARGE = 2
"""Tensors of a stage that may lie at the upper end of the arena beside the maps that it reads and writes."""

_End = bool
"""Whether the map between two stages lies at the upper end of the arena."""

_ENDS = (False, True)

_MEASURED = 3
"""How many of the best plans are confirmed in the interpreter."""

_OPERATOR_BYTES = {
    BuiltinOperator.SLICE: 65,
    BuiltinOperator.CONCATENATION: 150,
    BuiltinOperator.PAD: 133,
    BuiltinOperator.PADV2: 133,
    BuiltinOperator.ADD: 141,
    BuiltinOperator.SUB: 141,
}
"""What operators keep in the arena's tail where pointers have 64 bits, fitted to what the interpreter reports."""

_OTHER_OPERATOR_BYTES = 174
_TENSOR_BYTES = 24
_CHANNEL_BYTES = 8
"""The multiplier and shift of an output channel, which every copy of a convolution has."""


@dataclass(frozen=True)
class PatchedPlan:
    """Stages with what they need in the interpreter on a 64-bit host.

    stages: all layers of the network. head_bytes: the tensors. tail_bytes: an estimate of what operators and tensors
    keep beside them. macs: with what tiles compute again.
    """

    stages: tuple[Stage, ...]
    head_bytes: int
    tail_bytes: int
    macs: int

    @property
    def arena_bytes(self) -> int:
        return self.head_bytes + self.tail_bytes

    @property
    def rank(self) -> tuple[int, int]:
        """The smaller the better: bytes, then multiply-accumulates."""
        return self.arena_bytes, self.macs

    def then(self, other: PatchedPlan) -> PatchedPlan:
        """Both, one after the other; stages that run whole become one."""
        stages = self.stages + other.stages
        if self.stages and not self.stages[-1].tiled and not other.stages[0].tiled:
            joined = Stage(self.stages[-1].layers + other.stages[0].layers)
            stages = (*self.stages[:-1], joined, *other.stages[1:])
        head = max(self.head_bytes, other.head_bytes)
        return PatchedPlan(stages, head, self.tail_bytes + other.tail_bytes, self.macs + other.macs)


def choose_patched_stages(model: IntegerModel) -> tuple[Stage, ...]:
    """The stages for `build_patched_tflite` whose file needs the smallest arena, as the interpreter itself reports it.

    Raises McukitError like `measure_arena`.
    """
    measured = []
    for plan in patched_plans(model)[:_MEASURED]:
        data = write_tflite(build_patched_tflite(model, plan.stages))
        measured.append((measure_arena(data).total, plan.macs, plan))
    return min(measured, key=lambda entry: entry[:2])[2].stages


def patched_plans(model: IntegerModel) -> tuple[PatchedPlan, ...]:
    """The best plans that were written and placed, the best first; that without tiles is always among them.

    Needs no interpreter.
    """
    flow = Dataflow(model)
    whole = tuple(layer.name for layer in flow.layers)
    found: set[tuple[Stage, ...]] = {(Stage(whole),) if whole else ()}
    search = _Search(flow)
    found.update(stages for stages in map(search.stages, search.arenas()) if stages)
    plans = [_written(flow, stages) for stages in found]
    return tuple(sorted(plans, key=lambda plan: (*plan.rank, str(plan.stages))))


def _written(flow: Dataflow, stages: tuple[Stage, ...]) -> PatchedPlan:
    patched = build_patched_tflite(flow.model, stages, memory_plan=False)
    planned = with_memory_plan(patched)
    macs = sum(flow.macs) + redundant_macs(flow.model, stages)
    return PatchedPlan(stages, planned_head_bytes(planned), _tail_bytes(patched), macs)


@dataclass(eq=False)
class _Search:
    """whole: every layer alone. tiled: by [first, last) of a stretch, with few tiles first."""

    flow: Dataflow
    whole: list[PatchedPlan] = field(init=False)
    tiled: dict[tuple[int, int], list[PatchedPlan]] = field(default_factory=dict)
    margins: dict[Hashable, Margins] = field(default_factory=dict)
    turned: dict[Stage, Stage] = field(default_factory=dict)
    groups: dict[Stage, _StageGroups] = field(default_factory=dict)

    def __post_init__(self) -> None:
        flow, layers = self.flow, len(self.flow.layers)
        self.whole = [_whole_layer(flow, index) for index in range(layers)]
        for first in range(layers):
            for last in range(first + 1, min(first + _MOST_LAYERS, layers) + 1):
                # Tiles pay where whole maps are larger than the input, which is there in any case.
                ends = max(self.whole[first].head_bytes, self.whole[last - 1].head_bytes)
                if ends > flow.model.input.elements:
                    tail = sum(plan.tail_bytes for plan in self.whole[first:last])
                    self.tiled[first, last] = list(self._tiled_plans(first, last, tail))

    def arenas(self) -> list[int]:
        """Sizes of the head for which it is worth to look for stages: those of the best plans by estimate and more."""
        layers = len(self.flow.layers)
        fronts: list[list[PatchedPlan]] = [[PatchedPlan((), self.flow.model.input.elements, 0, 0)]]
        for last in range(1, layers + 1):
            found = [before.then(self.whole[last - 1]) for before in fronts[last - 1]]
            for first in range(max(last - _MOST_LAYERS, 0), last):
                stages = self.tiled.get((first, last), [])
                found += [before.then(stage) for stage in stages for before in fronts[first]]
            fronts.append(_front(found))
        best = sorted(fronts[-1], key=lambda plan: plan.rank)[:_DRAFTS]
        return sorted({round(plan.head_bytes * slack) for plan in best for slack in _SLACKS})

    def stages(self, arena: int) -> tuple[Stage, ...]:
        """The stages with the shortest tail that fit a head of `arena` bytes one by one; none if there are none."""
        start = PatchedPlan((), 0, 0, 0)
        best: dict[tuple[int, _End], PatchedPlan] = {(0, end): start for end in _ENDS}
        for last in range(1, len(self.flow.layers) + 1):
            found: dict[_End, list[PatchedPlan]] = {end: [] for end in _ENDS}
            alone = self.whole[last - 1]
            for end in _ENDS if alone.head_bytes <= arena else ():
                if (last - 1, not end) in best:
                    found[end].append(best[last - 1, not end].then(alone))
            for first in range(max(last - _MOST_LAYERS, 0), last):
                for source, target in itertools.product(_ENDS, _ENDS):
                    before = best.get((first, source))
                    stage = self._fitting(first, last, arena, (source, target)) if before else None
                    if before and stage:
                        found[target].append(before.then(stage))
            for end, plans in found.items():
                if plans:
                    best[last, end] = min(plans, key=lambda plan: plan.tail_bytes)
        final = [best[len(self.flow.layers), end] for end in _ENDS if (len(self.flow.layers), end) in best]
        return min(final, key=lambda plan: plan.tail_bytes).stages if final else ()

    def _fitting(self, first: int, last: int, arena: int, ends: tuple[_End, _End]) -> PatchedPlan | None:
        """The stage of a stretch with the fewest tiles that fits, in the direction in which it does."""
        likely = [plan for plan in self.tiled.get((first, last), []) if plan.head_bytes <= arena * _OPTIMISM]
        for plan in likely[:_COUNTS]:
            (stage,) = plan.stages
            if stage not in self.turned:
                self.turned[stage] = _turned(self.flow, first, stage)
            for directed in (stage, self.turned[stage]):
                if directed not in self.groups:
                    self.groups[directed] = self._stage_groups(first, last, directed)
                if self.groups[directed].fits(arena, ends):
                    return replace(plan, stages=(directed,))
        return None

    def _tiled_plans(self, first: int, last: int, whole_tail: int) -> Iterator[PatchedPlan]:
        """A stage of the layers [first, last) with each number of tiles, if TFLite's operators can express it."""
        choices = RowSearch(self.flow, first, last).choices(upwards=False)
        tails: list[tuple[int, int]] = []
        passing: int | None = None
        for count, (head, stage) in choices.items():
            if len(tails) < 2:
                tiles = row_tiles(self.flow, stage_tiles(self.flow, first, last, stage))
                try:
                    tails.append((count, _tail_bytes(stage_model(self.flow, tiles, self.margins))))
                except McukitError:
                    # Tiles that TFLite can't express are no candidates.
                    return
                passing = _passing_bytes(self.flow, first, last, tiles.incoming)
            yield PatchedPlan((stage,), head + (passing or 0), _extrapolated(tails, count, whole_tail), 0)

    def _stage_groups(self, first: int, last: int, stage: Stage) -> _StageGroups:
        tiles = row_tiles(self.flow, stage_tiles(self.flow, first, last, stage))
        model = stage_model(self.flow, tiles, self.margins)
        groups = tensor_groups(model, TFLM_ALIGNMENT)
        passing = _passing_bytes(self.flow, first, last, tiles.incoming)
        outer = None
        if len(model.main.inputs) == len(model.main.outputs) == 1:
            wanted = model.main.inputs[0], model.main.outputs[0]
            places = [next(i for i, group in enumerate(groups) if index in group.offsets) for index in wanted]
            outer = (places[0], places[1]) if places[0] != places[1] else None
        return _StageGroups(Conflicts([group.need for group in groups]), passing, outer)


@dataclass(eq=False)
class _StageGroups:
    """What a stage places, alone.

    outer: positions of the one map that it reads and the one that it writes, if so. known: sizes of the arena that are
    too small, and that suffice, by the ends at which these maps lie.
    """

    conflicts: Conflicts
    passing: int
    outer: tuple[int, int] | None
    known: dict[tuple[_End, _End], tuple[int, int]] = field(default_factory=dict)

    def fits(self, arena: int, ends: tuple[_End, _End]) -> bool:
        """Whether it fits with the map that it reads at one end of the arena and what it writes at one."""
        too_small, enough = self.known.get(ends, (self.passing, 1 << 62))
        if not too_small < arena < enough:
            return arena >= enough
        found = self._try(arena, ends)
        self.known[ends] = (too_small, arena) if found else (arena, enough)
        return found

    def _try(self, arena: int, ends: tuple[_End, _End]) -> bool:
        blocks = (arena - self.passing) // TFLM_ALIGNMENT
        if self.outer is None:
            return bool(fit(self.conflicts, blocks, {}, large=_LARGE))
        places = {}
        for position, upper in zip(self.outer, ends, strict=True):
            places[position] = blocks - self.conflicts.buffers[position].bytes if upper else 0
        source, target = self.outer
        distance = places[target] - places[source]
        apart = not any(low <= distance <= high for low, high in self.conflicts.between(source, target))
        return apart and min(places.values()) >= 0 and bool(fit(self.conflicts, blocks, places, large=_LARGE))


def _turned(flow: Dataflow, first: int, stage: Stage) -> Stage:
    """A stage with as many tiles that run upwards; itself if there is no such stage."""
    choices = RowSearch(flow, first, first + len(stage.layers)).choices(upwards=True)
    return choices[stage.tile_rows][1] if stage.tile_rows in choices else stage


def _whole_layer(flow: Dataflow, index: int) -> PatchedPlan:
    layer = flow.layers[index]
    stage = Stage((layer.name,))
    tiles = stage_tiles(flow, index, index + 1, stage)
    model = stage_model(flow, tiles)
    head = least_head_bytes(model) + _passing_bytes(flow, index, index + 1, tiles.incoming)
    return PatchedPlan((stage,), head, _tail_bytes(model), tile_macs(flow, tiles))


def _extrapolated(tails: Sequence[tuple[int, int]], count: int, whole_tail: int) -> int:
    """The tail with `count` tiles: every tile costs the same."""
    (few, low), (more, high) = ((1, whole_tail), tails[0]) if len(tails) == 1 else tails[:2]
    return high + (count - more) * (high - low) // (more - few)


def _passing_bytes(flow: Dataflow, first: int, last: int, incoming: Sequence[str]) -> int:
    """Bytes of maps that are there before a stage and after it, and that it doesn't read."""
    return sum(
        flow.model.graph.tensors[name].elements
        for name, producer in flow.producer.items()
        if producer < first
        and name not in incoming
        and (name in flow.outputs or any(reader >= last for reader in flow.readers[name]))
    )


def _tail_bytes(model: schema.Model) -> int:
    graph = model.main
    convolutions = (BuiltinOperator.CONV_2D, BuiltinOperator.DEPTHWISE_CONV_2D, BuiltinOperator.FULLY_CONNECTED)
    total = _TENSOR_BYTES * len(graph.tensors)
    for operator in graph.operators:
        total += _OPERATOR_BYTES.get(operator.builtin, _OTHER_OPERATOR_BYTES)
        if operator.builtin in convolutions:
            total += _CHANNEL_BYTES * graph.tensors[operator.outputs[0]].shape[-1]
    return total


def _front(plans: Sequence[PatchedPlan]) -> list[PatchedPlan]:
    """Those plans that no other one beats in both head and tail."""

    def keep(front: list[PatchedPlan], plan: PatchedPlan) -> list[PatchedPlan]:
        return front if front and front[-1].tail_bytes <= plan.tail_bytes else [*front, plan]

    ordered = sorted(plans, key=lambda plan: (plan.head_bytes, plan.tail_bytes, plan.macs))
    return reduce(keep, ordered, [])
