# SPDX-License-Identifier: Apache-2.0
"""From a calibrated float network to an integer model with the bits that the user asked for."""

from __future__ import annotations

__all__ = [
    "Calibrated",
    "FoundBits",
    "SensitivitySearch",
    "bits_by_sensitivity",
    "bits_by_vdqs",
    "bits_of_plan",
]

import itertools
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np
import numpy.typing as npt

from mcukit.calibration.float_model import FloatModel
from mcukit.calibration.statistics import MapStatistics
from mcukit.calibration.statistics_cache import cached_statistics
from mcukit.errors import McukitError, Problem
from mcukit.graph.graph import Graph
from mcukit.planning.choose import PlanRequest, choose_plan
from mcukit.planning.costs import DEFAULT_TARGET, CostTable, load_costs
from mcukit.planning.dataflow import Dataflow
from mcukit.planning.lean_kernels import plan_that_fits
from mcukit.planning.patch_plan import smallest_patch_plan
from mcukit.planning.plan import Stage
from mcukit.planning.plan_bits import Branching, PlanBits
from mcukit.planning.tiles import stage_tiles
from mcukit.precision.bitops import BitopsCost
from mcukit.precision.instruction_cost import InstructionCost
from mcukit.precision.plain_rounding import WeightRounding, rounding_of
from mcukit.precision.quantmcu import QuantmcuResult, narrowed_model, with_narrow_tiles
from mcukit.precision.sensitivity import (
    Cost,
    SearchStep,
    SensitivityResult,
    Target,
    measure_sensitivities,
    search_sensitivity,
)
from mcukit.precision.simulated_error import SimulatedError
from mcukit.precision.weight_bytes import ExcessWeights
from mcukit.quantized.integer import IntegerModel
from mcukit.quantized.kernel_sets import KernelSet
from mcukit.quantized.packing import MAP_BITS
from mcukit.quantized.precision import INT8, Precision, check_precision, quantization_groups
from mcukit.quantized.quantize import quantize_graph
from mcukit.repair.map_equalization import equalized_maps
from mcukit.repair.weight_rounding import round_weights
from mcukit.simulation.output_distance import softmax_divergence
from mcukit.workflow.bits import BitsOptions
from mcukit.workflow.code_size import functions_of
from mcukit.workflow.progress import Progress
from mcukit.workflow.room import MemoryFirst, Room, memory_costs, ranges_at_hand, whole_model

NARROW_RANGES = "percentile"
"""Of maps while bits are searched: with 4 bits it leaves a fifth of the error that the least squares leave."""


@dataclass(frozen=True, eq=False)
class Calibrated:
    """A float network with what calibration learned. inputs: the images (N, height, width, channels)."""

    model: FloatModel
    statistics: Mapping[str, MapStatistics]
    inputs: npt.NDArray[np.float32]

    @property
    def graph(self) -> Graph:
        return self.model.graph


@dataclass(frozen=True, eq=False)
class FoundBits:
    """precision: what was chosen. search: how, step by step."""

    precision: Precision
    search: SensitivityResult


def bits_by_sensitivity(
    calibrated: Calibrated,
    options: BitsOptions,
    report: Progress,
    room: Room | None = None,
    target: str = DEFAULT_TARGET,
    kernels: KernelSet = KernelSet.PORTABLE,
) -> FoundBits:
    """Narrows what is missed least, as far as options.max_error allows, or until there are few enough BitOPs.

    target, kernels: the core whose instructions are saved, and the set of C kernels that it runs.
    room: where a budget is given, bits are taken whose plan fits, with few enough BitOPs if that was asked for, and the
    least error at which the search comes to that. Stages are cut in several ways for it, and bytes that don't fit go
    before BitOPs.
    Raises McukitError "budget-exceeded" where none fits within the error, or none has so few BitOPs.
    """
    search = SensitivitySearch(calibrated, options, report, target, kernels)
    limit = None if options.bitops is None else search.bitops(INT8) / options.bitops
    if room is None:
        found = search.run(search.cost, limit if options.save == "bitops" else None)
        step = found.choice if limit is None else _few_enough(search, found.steps[: found.chosen + 1], limit)
    else:
        found, step = _roomy(search, room, limit)
    if limit is not None and search.bitops(step.precision) > limit:
        raise McukitError(
            "budget-exceeded",
            f"bits that add at most {options.max_error:g} to the error at the output make "
            f"{search.bitops(INT8) / search.bitops(step.precision):.2f} times fewer BitOPs, and {options.bitops:g} "
            "times were asked for",
            where="--bitops",
            hint="allow a larger error with --max-error, or ask for less"
            + ("" if options.save == "bitops" else f"; --save {options.save} narrows nothing that saves none of these"),
        )
    return FoundBits(step.precision, found)


def _few_enough(search: SensitivitySearch, steps: Sequence[SearchStep], limit: float) -> SearchStep:
    """The first step of so few BitOPs, or else the last one."""
    return next((step for step in steps if search.bitops(step.precision) <= limit), steps[-1])


class SensitivitySearch:
    """Errors that were measured once, for searches by any cost. cost: what the options ask to save.

    target, kernels: as of bits_by_sensitivity.
    """

    def __init__(
        self,
        calibrated: Calibrated,
        options: BitsOptions,
        report: Progress,
        target: str = DEFAULT_TARGET,
        kernels: KernelSet = KernelSet.PORTABLE,
    ) -> None:
        graph, inputs = calibrated.graph, calibrated.inputs
        images = inputs[np.linspace(0, len(inputs) - 1, min(options.images, len(inputs))).astype(np.int64)]
        self.calibrated, self.options, self.bitops = calibrated, options, BitopsCost(graph)
        self._target, self._kernels = target, kernels
        self._errors = SimulatedError(
            graph,
            calibrated.statistics,
            images,
            ranges=NARROW_RANGES,
            weights=rounded_weights(calibrated, report) if options.weights else None,
            equalized=equalized_maps(calibrated.model, inputs, cached_statistics),
            distance=softmax_divergence if _has_classes(graph) else None,
        )
        narrow = (4, 2)
        self._sensitivities = measure_sensitivities(
            graph,
            self._errors,
            map_bits=narrow if options.maps else (),
            weight_bits=narrow if options.weights else (),
            progress=partial(report, "measure sensitivities"),
        )

    @cached_property
    def instructions(self) -> InstructionCost:
        graph, ranges = self.calibrated.graph, ranges_at_hand(self.calibrated.statistics)
        return InstructionCost(graph, ranges, load_costs(self._target), self._kernels)

    @property
    def cost(self) -> Cost:
        return self.bitops if self.options.save == "bitops" else self.instructions

    def run(self, cost: Cost, limit: float | None = None) -> SensitivityResult:
        """Step by step, as far as the options allow. limit: of the cost, where the search may stop."""
        target = Target(self.options.max_error, limit)
        return search_sensitivity(self.calibrated.graph, self._errors, self._sensitivities, cost, target)

    def run_until(
        self,
        cost: Cost,
        fits: Callable[[SearchStep], bool],
        kind: Callable[[SearchStep], Hashable] | None = None,
    ) -> list[tuple[SensitivityResult, int | None]]:
        """Searches by a cost, each with the position of its first step that fits, or None where none does.

        Where the cost is about bytes first, the second search goes on to the cost itself from that step on. It takes
        other steps before it too, and either may come to fit with the smaller error.
        kind: as of SensitivityResult.first_that.
        """
        found = self.run(cost)
        first = found.first_that(fits, kind)
        if first is None or not isinstance(cost, MemoryFirst):
            return [(found, first)]
        # A plan may fit with more alive than the cost expects.
        again = self.run(cost.with_room_for(found.steps[first].precision))
        position = again.first_that(fits, kind)
        return [(found, first), *([] if position is None else [(again, position)])]


def _roomy(search: SensitivitySearch, room: Room, limit: float | None) -> tuple[SensitivityResult, SearchStep]:
    """Of the steps that fit and have few enough BitOPs, over all costs, the one of the least error."""
    calibrated = search.calibrated

    def model_of(step: SearchStep) -> IntegerModel:
        return whole_model(calibrated.graph, calibrated.statistics, step.precision, room.kernels, room.target)

    def fits(step: SearchStep) -> bool:
        return room.fits(model_of(step))

    # Kernels for fewer bits may have more code: only among networks of the same ones do fewer bits take less flash.
    int8 = whole_model(calibrated.graph, calibrated.statistics, INT8, room.kernels, room.target)
    counts_code = room.counts_code is not None and room.counts_code(int8)
    kind = (lambda step: functions_of(model_of(step))) if counts_code else None
    best: tuple[SensitivityResult, SearchStep] | None = None
    costs = _roomy_costs(search, room, int8)
    for found, first in itertools.chain.from_iterable(search.run_until(cost, fits, kind) for cost in costs):
        if first is None:
            continue
        # Few enough bytes may still be too many BitOPs; and with more code, what follows may not fit again.
        steps = found.steps[first : found.chosen + 1]
        few = (step for step in steps if limit is None or search.bitops(step.precision) <= limit)
        step = next((step for step in few if not counts_code or fits(step)), steps[0 if counts_code else -1])
        if best is None or _rank(search, step, limit) < _rank(search, best[1], limit):
            best = found, step
    if best is None:
        raise McukitError(
            "budget-exceeded",
            f"no bits that add at most {search.options.max_error:g} to the error at the output make the network fit",
            where="--bits auto",
            hint="allow a larger error with --max-error, give a larger budget"
            + ("" if room.sram is None or room.pushed else ", or push rows of the input: --push-rows"),
        )
    return best


def _roomy_costs(search: SensitivitySearch, room: Room, int8: IntegerModel) -> list[Cost]:
    """What is to become less, in several ways: the cost, and before it bytes of memory, of flash, and of both.

    int8: the network with 8 bits everywhere.
    """
    graph, statistics = search.calibrated.graph, search.calibrated.statistics
    costs: list[Cost] = [search.cost]
    tight: tuple[MemoryFirst, ...] = ()
    if room.sram is not None and search.options.maps:
        tight = memory_costs(
            graph,
            statistics,
            room.sram,
            pushed=room.pushed,
            cost=search.cost,
            target=room.target,
            kernels=room.kernels,
        )
    costs += tight
    if room.fits_flash is not None and search.options.weights and not room.fits_flash(int8):
        # Nothing fits no bytes: each step is one by which less does not fit, until a plan and its code show what does.
        weights = ExcessWeights(graph)
        costs.append(MemoryFirst(search.cost, (weights,)))
        costs += [MemoryFirst(search.cost, (*cost.excess, weights)) for cost in tight]
    return costs


def _rank(search: SensitivitySearch, step: SearchStep, limit: float | None) -> tuple[bool, float]:
    """Steps with too many BitOPs come last, and among equals those of the larger error."""
    return limit is not None and search.bitops(step.precision) > limit, step.error


def _has_classes(graph: Graph) -> bool:
    """Whether all outputs look like scores of classes: vectors of several values."""
    return all(graph.tensors[name].elements == graph.tensors[name].shape[-1] > 1 for name in graph.outputs)


def rounded_weights(calibrated: Calibrated, report: Progress) -> WeightRounding:
    """Weights of every width, rounded by what they do to the output of their layer."""
    graph = calibrated.graph
    spans = ranges_at_hand(calibrated.statistics)
    names = [node.name for node in graph.nodes if node.operator.has_weights]
    graphs = {}
    for bits in MAP_BITS:
        quantized = quantize_graph(graph, spans, Precision(weights=dict.fromkeys(names, bits)))
        if bits < 8:
            advance = partial(report, f"round weights to {bits} bits")
            quantized = round_weights(calibrated.model, quantized, calibrated.inputs, advance)
        graphs[bits] = quantized
    return rounding_of(graphs)


def bits_by_vdqs(
    calibrated: Calibrated, int8: IntegerModel, options: BitsOptions, sram: int | None, target: str = DEFAULT_TARGET
) -> tuple[QuantmcuResult, tuple[Stage, ...]]:
    """QuantMCU as reconstructed: patches, their classes, and bits by entropy; the stages that it is made for.

    sram: bytes that the network in patches must fit, with 8 bits if possible, else with fewer; without them the patches
    are those of the smallest arena.
    Raises McukitError "bad-stage" where the first layers can't run in such patches, and what narrowed_model raises.
    """
    two_forms = options.quantmcu.vdpc != "off"
    budget = None
    if sram is None:
        stages = _smallest_patches(int8, target, two_forms)
    else:
        costs = load_costs(target)
        search = partial(_patches_within, costs=costs, sram=sram, two_forms=two_forms)
        try:
            _, stages = plan_that_fits(int8, costs, search, settle=False)
        except McukitError:
            # No patches of 8 bits fit: fewer bits have to.
            stages, budget = _smallest_patches(int8, target, two_forms), sram
    quantmcu = replace(options.quantmcu, budget=budget)
    graph, statistics, inputs = calibrated.graph, calibrated.statistics, calibrated.inputs
    return narrowed_model(graph, statistics, int8, inputs, stages, quantmcu), stages


def _patches_within(model: IntegerModel, *, costs: CostTable, sram: int, two_forms: bool) -> tuple[Stage, ...]:
    return smallest_patch_plan(Dataflow(model), costs, sram, two_forms=two_forms).plan.stages


def _smallest_patches(int8: IntegerModel, target: str, two_forms: bool) -> tuple[Stage, ...]:
    """Stages of the smallest arena that begin with patches."""
    try:
        return choose_plan(int8, PlanRequest("patches", target=target, two_forms=two_forms)).plan.stages
    except McukitError as error:
        if error.problems[0].code != "bad-plan":
            raise
        what = "patches, each with bits of its own" if two_forms else "patches"
        raise McukitError(
            "bad-stage",
            f"the first layers of the network can't run in {what}, which the search 'vdqs' is made for",
            where="--search",
            hint="use --search sensitivity" + (", or try --vdpc off" if two_forms else ""),
        ) from error


def bits_of_plan(calibrated: Calibrated, model: IntegerModel, bits: PlanBits, first: Stage) -> IntegerModel:
    """`model`, quantized with bits.precision, with the narrow tiles that a plan asks for. first: its first stage.

    Raises McukitError "bad-precision", "bad-stage" and "bad-branches".
    """
    branching = bits.branching
    if branching is None:
        return model
    graph = calibrated.graph
    check_precision(graph, Precision(branching.narrow))
    groups = quantization_groups(graph)
    narrow = {groups[name]: width for name, width in branching.narrow.items()}
    flow = Dataflow(model)
    _check_first(flow, first, branching)
    tiles = stage_tiles(flow, 0, len(first.layers), first)
    return with_narrow_tiles(graph, model, tiles, narrow, branching.wide, branching.test)


def _check_first(flow: Dataflow, first: Stage, branching: Branching) -> None:
    """Refuses a stage of other layers than the network begins with, and narrow maps that it does not compute."""
    layers = flow.layers[: len(first.layers)]
    if tuple(layer.name for layer in layers) != first.layers:
        raise McukitError(
            "bad-stage",
            "tiles of two precisions run the first layers of the network, and the first stage has others",
            where="stages[0]",
            hint=f"begin with {', '.join(repr(layer.name) for layer in layers)}",
        )
    groups = quantization_groups(flow.model.graph)
    computed = {groups[layer.output] for layer in layers}
    behind = [name for name in branching.narrow if name in groups and groups[name] not in computed]
    if behind:
        message, hint = "no layer in tiles computes it", "leave its 'narrow' out"
        raise McukitError.collect([Problem("bad-branches", message, f"map '{name}'", hint) for name in behind])
