# SPDX-License-Identifier: Apache-2.0
"""Ranges chosen map by map, by what rounding that map alone does to the network's output."""

from __future__ import annotations

__all__ = ["choose_ranges_by_output"]

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from mcukit.calibration.ranges import MAP_RANGE_METHODS, Range, choose_range
from mcukit.calibration.statistics import MapStatistics
from mcukit.graph.graph import Graph, Quantization
from mcukit.quantized.precision import INT8, Precision, check_precision, quantization_groups
from mcukit.quantized.quantize import quantize_graph
from mcukit.simulation.output_distance import OutputDistance, default_distance
from mcukit.simulation.simulation import Change, Simulation

STRETCHES = (0.7, 0.85, 1.15)
"""Of the range with the least squared error: further candidates for maps of fewer than 8 bits."""


def choose_ranges_by_output(
    graph: Graph,
    statistics: Mapping[str, MapStatistics],
    images: npt.NDArray[np.float32],
    precision: Precision = INT8,
    *,
    distance: OutputDistance | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Range]:
    """A range for every map of the float `graph`, by name.

    statistics: over the calibration images. images: some of them (N, height, width, channels), on which each candidate
    is judged with all other maps and the weights in float: beside their rounding, that of one map would be lost in
    noise. The network's input keeps the range of the data. distance: between outputs, by default what
    `default_distance` takes for this network. progress: called with (images done, images in all).
    """
    bits = check_precision(graph, precision)
    candidates = _candidates(statistics, bits)
    grids = [
        {name: tensor.quantization for name, tensor in quantize_graph(graph, ranges, precision).tensors.items()}
        for ranges in candidates
    ]
    groups = quantization_groups(graph)
    members: dict[str, list[str]] = {}
    for name, root in groups.items():
        members.setdefault(root, []).append(name)
    fixed = {groups[name] for name in graph.inputs}
    trials = [
        (root, index)
        for root, names in members.items()
        if root not in fixed
        for index in _distinct([grids[index][names[0]] for index in range(len(grids))])
    ]
    changes = [Change({name: grids[index][name] for name in members[root]}) for root, index in trials]
    real, *found = Simulation(graph).run_each(images, [Change(), *changes], progress)
    measure = distance or default_distance(graph)
    best: dict[str, tuple[float, int]] = {}
    for (root, index), outputs in zip(trials, found, strict=True):
        best[root] = min(best.get(root, (np.inf, 0)), (measure(real, outputs), index))
    return {name: candidates[best[root][1] if root in best else 0][name] for name, root in groups.items()}


def _candidates(statistics: Mapping[str, MapStatistics], bits: Mapping[str, int]) -> list[dict[str, Range]]:
    """Ranges of all maps by every method; the first are those of the data."""
    methods = [
        {name: choose_range(item, method, bits[name]) for name, item in statistics.items()}
        for method in MAP_RANGE_METHODS
    ]
    base = methods[list(MAP_RANGE_METHODS).index("mse")]
    stretched = [
        {
            name: span if bits[name] == 8 else Range.around_zero(span.minimum * factor, span.maximum * factor)
            for name, span in base.items()
        }
        for factor in STRETCHES
    ]
    return [*methods, *stretched]


def _distinct(grids: list[Quantization | None]) -> list[int]:
    """Places of grids that no earlier one equals."""
    found: list[int] = []
    for index, grid in enumerate(grids):
        if grid is not None and not any((other := grids[i]) is not None and other.same_as(grid) for i in found):
            found.append(index)
    return found
