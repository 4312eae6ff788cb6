# SPDX-License-Identifier: Apache-2.0
"""The plans of a model that are worth a choice, without quantizing it in earnest."""

from __future__ import annotations

__all__ = ["PlanFront", "plan_front"]

from dataclasses import dataclass
from pathlib import Path

from mcukit.importers.load import load_model
from mcukit.passes import run_passes
from mcukit.planning.candidates import LAYER_BY_LAYER, STREAM
from mcukit.planning.costs import DEFAULT_TARGET, load_costs
from mcukit.planning.dataflow import Dataflow
from mcukit.planning.grids import GridCost, grid_costs
from mcukit.planning.search import FoundPlan, PlanSearch, default_shapes
from mcukit.workflow.kernels import kernels_for_target
from mcukit.workflow.sketch import sketch


@dataclass(frozen=True)
class PlanFront:
    """The plans, each list from the cheapest to the smallest.

    plans: with the whole input in memory. pushed: with rows pushed by the application; empty where that can't be.
    grids: the usual patch grids. macs: of the network, nothing computed twice.
    """

    name: str
    target: str
    macs: int
    plans: tuple[FoundPlan, ...]
    pushed: tuple[FoundPlan, ...]
    grids: tuple[GridCost, ...]


def plan_front(path: Path, target: str = DEFAULT_TARGET) -> PlanFront:
    """Plans of the int8 form of an ONNX or TFLite file, of which none is both smaller and cheaper than another.

    target: the core whose instructions count. Raises McukitError where the file can't be imported.
    """
    costs = load_costs(target)
    flow = Dataflow(sketch(run_passes(load_model(path)), kernels_for_target(target), target))
    plans = PlanSearch(flow, costs, default_shapes()).front()
    pushed = PlanSearch(flow, costs, (LAYER_BY_LAYER, STREAM), pushed=True).front()
    return PlanFront(flow.model.name, target, sum(flow.macs), plans, pushed, grid_costs(flow, costs))
