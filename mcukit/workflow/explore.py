# SPDX-License-Identifier: Apache-2.0
"""Bits and plans searched together: every choice that no other one beats."""

from __future__ import annotations

__all__ = ["Choice", "Exploration", "choice_plan", "explore"]

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from mcukit.calibration.float_model import FloatModel
from mcukit.calibration.statistics_cache import cached_statistics
from mcukit.errors import McukitError
from mcukit.importers.load import load_model
from mcukit.passes import run_passes
from mcukit.planning.candidates import LAYER_BY_LAYER, STREAM
from mcukit.planning.costs import DEFAULT_TARGET, load_costs
from mcukit.planning.dataflow import Dataflow
from mcukit.planning.plan import Plan
from mcukit.planning.plan_file import plan_text
from mcukit.planning.schedule import partition
from mcukit.planning.search import FoundPlan, PlanSearch, default_shapes
from mcukit.precision.bitops import BitopsCost, macs_of_stages
from mcukit.precision.sensitivity import Cost, SearchStep
from mcukit.quantized.integer import IntegerModel
from mcukit.quantized.precision import INT8, Precision
from mcukit.workflow.bits import BitsOptions, check_bits
from mcukit.workflow.calibrate import calibration_data
from mcukit.workflow.kernels import kernels_for_target
from mcukit.workflow.mixed import Calibrated, SensitivitySearch
from mcukit.workflow.options import QuantizeOptions, with_settings
from mcukit.workflow.progress import Progress, no_progress
from mcukit.workflow.room import memory_costs, whole_model

MOST_STEPS = 8
"""Precisions that are planned for each way of searching: planning takes seconds for each."""


@dataclass(frozen=True, eq=False)
class Choice:
    """One precision under one plan.

    error: at the output over calibration images, simulated. added: what of it fewer bits add. bitops: with what tiles
    compute again. weight_bytes: flash for constants.
    """

    precision: Precision
    error: float
    added: float
    bitops: int
    weight_bytes: int
    model: IntegerModel
    found: FoundPlan

    @property
    def plan(self) -> Plan:
        return self.found.plan

    def costs(self) -> tuple[float, ...]:
        """All that should be small."""
        return self.error, self.plan.arena_bytes, self.weight_bytes, self.found.instructions, self.bitops


@dataclass(frozen=True, eq=False)
class Exploration:
    """choices: of which none is as good as another one in everything and better in something; by rising error.

    bitops: of the network with 8 bits, nothing computed twice.
    """

    name: str
    target: str
    bitops: int
    choices: tuple[Choice, ...]


def explore(
    path: Path,
    options: QuantizeOptions | None = None,
    progress: Progress | None = None,
    target: str = DEFAULT_TARGET,
) -> Exploration:
    """Narrows maps and weights step by step, and plans what each of the steps needs.

    options: calibration, preprocessing and options.bits count; options.sram leaves out what needs more. Streams,
    patches and strips are tried for every precision, with the input whole and with rows pushed.
    Raises McukitError: what `quantize` raises for model and data, and "budget-exceeded" where nothing fits.
    """
    report = progress or no_progress
    graph = run_passes(load_model(path))
    if graph.tensors[graph.inputs[0]].quantization is not None:
        raise McukitError(
            "unsupported-quantization",
            "the network is quantized already, and its integers stay as they are",
            where=str(path),
            hint="give the float network that it was made from",
        )
    chosen = with_settings(path, options or QuantizeOptions())
    bits = chosen.bits or BitsOptions(max_error=0.1)
    check_bits(bits)
    values, preprocessing = calibration_data(graph, chosen)
    inputs, model = preprocessing.apply(values), FloatModel(graph)
    calibrated = Calibrated(model, cached_statistics(model, inputs, partial(report, "calibrate")), inputs)
    steps = _steps(SensitivitySearch(calibrated, bits, report, target, kernels_for_target(target)), target)
    choices: list[Choice] = []
    for number, step in enumerate(steps):
        report("plan", number, len(steps))
        choices += _choices(calibrated, step, steps[0].error, target)
    report("plan", len(steps), len(steps))
    fitting = [each for each in choices if chosen.sram is None or each.plan.arena_bytes <= chosen.sram]
    if not fitting:
        least = min(each.plan.arena_bytes for each in choices)
        raise McukitError(
            "budget-exceeded",
            f"no bits and plans that were found need less than {least:,} bytes of SRAM",
            where="--sram",
            hint="allow a larger error with --max-error, or give a larger budget",
        )
    # The cheapest plan may be the smallest one too.
    different = list({each.costs(): each for each in fitting}.values())
    front = [each for each in different if not any(_beats(other, each) for other in different)]
    return Exploration(graph.name, target, BitopsCost(graph)(INT8), tuple(sorted(front, key=Choice.costs)))


def choice_plan(choice: Choice) -> str:
    """A plan.json with the bits and stages of a choice, for `mcukit quantize --plan`; places are left to it."""
    stages = Plan(choice.plan.stages, choice.plan.pushed, {}, {}, {})
    return plan_text(stages, choice.model, places=False)


def _steps(search: SensitivitySearch, target: str) -> list[SearchStep]:
    """Precisions that are worth a plan, of 8 bits first: of few BitOPs, instructions, and bytes under several cuts."""
    graph, statistics = search.calibrated.graph, search.calibrated.statistics
    costs: list[Cost] = [search.bitops, search.instructions]
    for pushed in (False, True) if search.options.maps else ():
        # Nothing fits no bytes: each step is one by which less does not fit.
        costs += memory_costs(graph, statistics, 0, pushed=pushed, target=target, kernels=kernels_for_target(target))
    found = [_spread([step for step in search.run(cost).steps if step.measured is not None]) for cost in costs]
    return list({_widths(step): step for steps in found for step in steps}.values())


def _widths(step: SearchStep) -> tuple[frozenset[tuple[str, int]], frozenset[tuple[str, int]]]:
    return frozenset(step.precision.maps.items()), frozenset(step.precision.weights.items())


def _spread(steps: Sequence[SearchStep]) -> list[SearchStep]:
    """At most MOST_STEPS of them, the first and the last among these."""
    if len(steps) <= MOST_STEPS:
        return list(steps)
    return [steps[round(index * (len(steps) - 1) / (MOST_STEPS - 1))] for index in range(MOST_STEPS)]


def _choices(calibrated: Calibrated, step: SearchStep, base: float, target: str) -> Iterator[Choice]:
    """The cheapest and the smallest plan of one precision, with the input whole and pushed."""
    kernels = kernels_for_target(target)
    model = whole_model(calibrated.graph, calibrated.statistics, step.precision, kernels, target)
    flow, costs = Dataflow(model), load_costs(target)
    whole = PlanSearch(flow, costs, default_shapes())
    pushed = PlanSearch(flow, costs, (LAYER_BY_LAYER, STREAM), pushed=True)
    for found in (whole.cheapest(1 << 40), whole.smallest(), pushed.smallest()):
        if found is not None:
            tiles = partition(flow, found.plan.stages, found.plan.pushed)
            bitops = BitopsCost(calibrated.graph, macs_of_stages(flow, tiles))(step.precision)
            yield Choice(step.precision, step.error, step.error - base, bitops, model.weight_bytes, model, found)


def _beats(other: Choice, each: Choice) -> bool:
    """Whether `other` is nowhere worse and somewhere better."""
    pairs = list(zip(other.costs(), each.costs(), strict=True))
    return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)
