# SPDX-License-Identifier: Apache-2.0
"""One network in one configuration of bits and plan after the other, each with its accuracy and what it costs."""

from __future__ import annotations

__all__ = [
    "INT8_PATCHES",
    "Configuration",
    "Prepared",
    "Trial",
    "best_configurations",
    "int8_configurations",
    "prepare",
    "quantmcu_trials",
    "stages_text",
    "try_configuration",
]

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.support.network_table import Network
from benchmarks.support.paired import Paired, compare_paired, outputs_of
from mcukit.calibration.data import load_inputs
from mcukit.calibration.float_model import FloatModel
from mcukit.calibration.ranges import MAP_BY_MAP
from mcukit.calibration.statistics import MapStatistics, collect_statistics
from mcukit.errors import McukitError
from mcukit.graph.graph import Graph, map_shape
from mcukit.graph.serialize import graph_bytes
from mcukit.importers.load import load_model
from mcukit.passes import run_passes
from mcukit.planning.candidates import LAYER_BY_LAYER, STREAM, Candidate, Candidates, Shape
from mcukit.planning.costs import load_costs
from mcukit.planning.dataflow import Dataflow
from mcukit.planning.kernel_choice import choose_kernels
from mcukit.planning.lean_kernels import plan_with_lean_kernels
from mcukit.planning.patch_plan import smallest_patch_plan
from mcukit.planning.plan import Plan, Stage
from mcukit.planning.plan_file import plan_text
from mcukit.planning.planner import plan_of
from mcukit.planning.schedule import partition
from mcukit.planning.search import PlanSearch
from mcukit.planning.tiles import tile_macs
from mcukit.precision.quantmcu import QuantmcuOptions, QuantmcuResult, branch_bitops, narrowed_model, vdqs_choice
from mcukit.precision.sensitivity import SearchStep, SensitivityResult
from mcukit.quantized.integer import IntegerModel, with_kernels
from mcukit.quantized.kernel_sets import KernelSet
from mcukit.repair.calibrated import quantize_calibrated
from mcukit.simulation.output_error import before_softmax
from mcukit.workflow.bits import BitsOptions
from mcukit.workflow.mixed import Calibrated, SensitivitySearch
from mcukit.workflow.progress import no_progress
from mcukit.workflow.room import memory_costs, whole_model

CHUNK = 16

INT8_PATCHES = "int8, patches"

LEAST_ERROR = "rows pushed, least error that fits"
"""The trial whose arena is to be a part of that of int8 with rows pushed, and nothing else is to become less."""

KERNELS = KernelSet.DSP
"""Those that a Cortex-M4 gets: arenas hold their scratch memory, instructions are what they were measured to take."""


@dataclass(frozen=True, eq=False)
class Prepared:
    """A network with all that its configurations share.

    inputs: of calibration, as the network takes them. images: the evaluation inputs as integers. outputs: the float
    network's for them. patches: the stages of the int8 patch-based plan. seconds: that steps took, by name.
    found: outputs of integer networks, by what decides about them: all plans of one network compute the same bytes.
    """

    network: Network
    graph: Graph
    model: FloatModel
    statistics: dict[str, MapStatistics]
    inputs: npt.NDArray[np.float32]
    int8: IntegerModel
    images: npt.NDArray[np.int8]
    labels: npt.NDArray[np.int64]
    outputs: npt.NDArray[np.float32]
    patches: tuple[Stage, ...]
    seconds: dict[str, float]
    found: dict[str, npt.NDArray[np.float32]] = field(default_factory=dict)

    def head(self, count: int) -> Prepared:
        """The same with the first evaluation images alone."""
        return replace(self, images=self.images[:count], labels=self.labels[:count], outputs=self.outputs[:count])


@dataclass(frozen=True, eq=False)
class Configuration:
    """bitops: where they don't follow from the model and the plan alone."""

    name: str
    model: IntegerModel
    plan: Plan
    bitops: float | None = None


@dataclass(frozen=True)
class Trial:
    """What a configuration gives. instructions: estimated from the measured kernels of a Cortex-M4.

    accuracy: against the float network. against_int8: the same against the network with 8 bits everywhere.
    """

    name: str
    accuracy: Paired
    against_int8: Paired
    macs: int
    bitops: float
    arena_bytes: int
    weight_bytes: int
    instructions: int


def prepare(network: Network, models: Path, scratch: Path, budget: int) -> Prepared:
    """Quantizes to int8, finds the patch-based plan that fits `budget` bytes, and runs the float network."""
    files = network.files(models, scratch)
    if files.calibration is None:
        raise ValueError(f"{network.name} has no calibration data")
    graph = run_passes(load_model(files.model))
    shape = map_shape(graph.tensors[graph.inputs[0]].shape)
    inputs = network.preprocessing.apply(load_inputs(files.calibration, shape).values[: network.calibration_limit])
    model = FloatModel(graph)
    seconds = {}
    started = time.perf_counter()
    statistics = collect_statistics(model, inputs)
    seconds["statistics"] = time.perf_counter() - started
    int8 = _with_kernels(quantize_calibrated(model, statistics, inputs).model)
    data = load_inputs(files.evaluation, shape, labels=files.labels)
    if data.labels is None or int8.input.quantization is None:
        raise ValueError(f"{network.name} has no labels")
    images, outputs = [], []
    for start in range(network.evaluation_first, len(data.values), CHUNK):
        real = network.preprocessing.apply(data.values[start : start + CHUNK])
        images.append(int8.input.quantization.quantize(real))
        outputs.append(model.outputs(real)[0].reshape(len(real), -1))
    labels = np.asarray(data.labels)[network.evaluation_first :]
    patches = smallest_patch_plan(Dataflow(int8), load_costs(), budget).plan.stages
    return Prepared(
        network, graph, model, statistics, inputs, int8, np.concatenate(images), labels, np.concatenate(outputs),
        patches, seconds,
    )  # fmt: skip


def stages_text(configuration: Configuration) -> str:
    """A plan.json with the stages and bits of a configuration; places are left to whoever builds it."""
    plan = configuration.plan
    return plan_text(Plan(plan.stages, plan.pushed, {}, {}, {}), configuration.model, places=False)


def int8_configurations(prepared: Prepared) -> Iterator[Configuration]:
    """int8 layer by layer, in patches, streamed, and streamed with rows pushed."""
    flow = Dataflow(prepared.int8)
    names = tuple(layer.name for layer in flow.layers)
    yield Configuration("int8, layers", prepared.int8, plan_of(flow, (Stage(names),)))
    yield Configuration(INT8_PATCHES, prepared.int8, plan_of(flow, prepared.patches))
    for pushed in (False, True):
        plan = _smallest_stream(prepared.int8, pushed=pushed)
        yield Configuration(f"int8, stream{', rows pushed' * pushed}", prepared.int8, plan)
    model, plan = _leanest_stream(prepared.int8)
    yield Configuration("int8, stream, rows pushed, lean kernels", model, plan)


def quantmcu_trials(
    prepared: Prepared, choices: Sequence[QuantmcuOptions], report: Callable[[Trial], None]
) -> list[tuple[QuantmcuOptions, QuantmcuResult, Trial]]:
    """QuantMCU as reconstructed, in the patches of the int8 plan, with each of these options."""
    trials = []
    tiles = partition(Dataflow(prepared.int8), prepared.patches, pushed=False)
    started = time.perf_counter()
    vdqs_choice(prepared.graph, prepared.statistics, prepared.int8, tiles, QuantmcuOptions(layer_stage=True))
    prepared.seconds["VDQS"] = time.perf_counter() - started
    for options in choices:
        result = narrowed_model(
            prepared.graph, prepared.statistics, prepared.int8, prepared.inputs, prepared.patches, options
        )
        narrowed = _with_kernels(result.model)
        plan = plan_of(Dataflow(narrowed), prepared.patches)
        trial = try_configuration(prepared, Configuration(_title(options), narrowed, plan, result.bitops))
        report(trial)
        trials.append((options, result, trial))
    return trials


def _title(options: QuantmcuOptions) -> str:
    classes = "" if options.vdpc == "off" else f", {options.vdpc}, phi {options.classes.phi:g}"
    return f"QuantMCU, lambda {options.entropy_weight:g}, VDPC {'off' if options.vdpc == 'off' else 'on'}{classes}"


def best_configurations(
    prepared: Prepared, added_errors: Sequence[float], share: float
) -> Iterator[tuple[float, Configuration]]:
    """mcukit's own, each with its added error: measured sensitivity, well rounded weights, ranges map by map, streamed.

    added_errors: how much the error over calibration images may grow. Each is a trial with the input whole, narrowed
    for fewer BitOPs alone, and one with rows pushed, narrowed first of all for an arena of `share` of the int8 one.
    That is the one with kernels of least memory, which the narrowed one has too where it does not fit otherwise.
    """
    calibrated = Calibrated(prepared.model, prepared.statistics, prepared.inputs)
    _, leanest = _leanest_stream(prepared.int8)
    started = time.perf_counter()
    search = SensitivitySearch(calibrated, BitsOptions(max_error=max(added_errors)), no_progress)
    whole = [search.run(search.bitops)]
    budget = int(share * leanest.arena_bytes)

    def fits(step: SearchStep) -> bool:
        model = whole_model(prepared.graph, prepared.statistics, step.precision, KERNELS)
        return _leanest_stream(model)[1].arena_bytes <= budget

    costs = memory_costs(prepared.graph, prepared.statistics, budget, pushed=True, kernels=KERNELS)
    roomy = [each for cost in costs for each in search.run_until(cost, fits)]
    prepared.seconds["search"] = time.perf_counter() - started
    fitting = [found.steps[first] for found, first in roomy if first is not None]
    if fitting:
        step = min(fitting, key=lambda step: step.error)
        model, plan = _narrowed(prepared, step, budget)
        yield step.error - whole[0].steps[0].error, Configuration(f"measured, {LEAST_ERROR}", model, plan)
    for added in added_errors:
        for rows, found in ((False, whole), (True, [each for each, _ in roomy])):
            last = [_last_within(result, added) for result in found]
            choices = [_narrowed(prepared, step, budget if rows else None) for step in last]
            # Of several cuts one that fits, and of those that do the one with the fewest BitOPs.
            model, plan = min(choices, key=lambda choice: _preference(*choice, budget))
            name = f"measured, error +{added:g}, stream{', rows pushed' * rows}"
            yield added, Configuration(name, model, plan)


def _last_within(found: SensitivityResult, added: float) -> SearchStep:
    """The last step of a search within an added error."""
    return [step for step in found.steps if step.error <= found.steps[0].error + added][-1]


def _narrowed(prepared: Prepared, step: SearchStep, budget: int | None) -> tuple[IntegerModel, Plan]:
    """A step of a search as integers, with its smallest streamed plan.

    budget: bytes that are aimed at with rows pushed; None for the input whole.
    """
    model = quantize_calibrated(
        prepared.model, prepared.statistics, prepared.inputs, precision=step.precision, ranges=MAP_BY_MAP
    ).model
    model = _with_kernels(model)
    plan = _smallest_stream(model, pushed=budget is not None)
    if budget is None or plan.arena_bytes <= budget:
        return model, plan
    try:
        return plan_with_lean_kernels(model, load_costs(), partial(_stream_within, budget=budget))
    except McukitError:
        return model, plan


def _leanest_stream(model: IntegerModel) -> tuple[IntegerModel, Plan]:
    """With rows pushed, and the kernels of least memory in all layers."""
    search = partial(_smallest_stream, pushed=True)
    return plan_with_lean_kernels(model, load_costs(), search, settle=False)


def _stream_within(model: IntegerModel, *, budget: int) -> Plan:
    """The smallest plan with rows pushed. Raises McukitError "budget-exceeded"."""
    plan = _smallest_stream(model, pushed=True)
    if plan.arena_bytes > budget:
        raise McukitError("budget-exceeded", f"it needs {plan.arena_bytes:,} bytes of {budget:,}")
    return plan


def _with_kernels(model: IntegerModel) -> IntegerModel:
    """As builds for the core have them."""
    return choose_kernels(with_kernels(model, KERNELS), load_costs())


def _preference(model: IntegerModel, plan: Plan, budget: int) -> tuple[int, float]:
    tiles = partition(Dataflow(model), plan.stages, plan.pushed)
    return max(plan.arena_bytes - budget, 0), branch_bitops(model, tiles)


def _smallest_stream(model: IntegerModel, *, pushed: bool) -> Plan:
    found = PlanSearch(Dataflow(model), load_costs(), (LAYER_BY_LAYER, STREAM), pushed=pushed).smallest()
    if found is None:
        raise ValueError(f"{model.name} has no plan of streams and layers")
    return found.plan


def try_configuration(prepared: Prepared, configuration: Configuration) -> Trial:
    """Runs it on all evaluation images, as C on this computer."""
    model, plan = configuration.model, configuration.plan
    logits = before_softmax(prepared.graph, prepared.graph.outputs[0]) == prepared.graph.outputs[0]
    outputs = _outputs(prepared, model, plan)
    int8 = _outputs(prepared, prepared.int8, plan_of(Dataflow(prepared.int8), prepared.patches))
    flow = Dataflow(model)
    tiles = partition(flow, plan.stages, plan.pushed)
    bitops = branch_bitops(model, tiles) if configuration.bitops is None else configuration.bitops
    return Trial(
        configuration.name,
        compare_paired(outputs, prepared.outputs, prepared.labels, logits=logits),
        compare_paired(outputs, int8, prepared.labels, logits=logits),
        sum(tile_macs(flow, stage) for stage in tiles),
        bitops,
        plan.arena_bytes,
        model.weight_bytes,
        _instructions(flow, plan),
    )


def _outputs(prepared: Prepared, model: IntegerModel, plan: Plan) -> npt.NDArray[np.float32]:
    """Of the generated C. Where tiles have one precision, all plans compute the same bytes: the quickest one runs."""
    key = hashlib.sha256(graph_bytes(model.graph))
    if model.branches is None:
        flow = Dataflow(model)
        plan = plan_of(flow, (Stage(tuple(layer.name for layer in flow.layers)),))
    else:
        key.update(graph_bytes(model.branches.graph))
    key.update(plan_text(plan, model).encode())
    name = f"{key.hexdigest()} {len(prepared.images)}"
    if name not in prepared.found:
        prepared.found[name] = outputs_of(model, plan, prepared.images)
    return prepared.found[name]


def _instructions(flow: Dataflow, plan: Plan) -> int:
    """Estimated for the stages of a plan."""
    candidates = Candidates(flow, load_costs(), plan.pushed)
    total, first = 0, 0
    for stage in plan.stages:
        shape = Shape(stage.tile_rows, stage.tile_columns, stage.halo)
        total += candidates.instructions(Candidate(first, first + len(stage.layers), shape))
        first += len(stage.layers)
    return total
