# SPDX-License-Identifier: Apache-2.0
"""What a choice of bits does to the network's output, measured by simulation against the float network."""

from __future__ import annotations

__all__ = ["SimulatedError"]

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from mcukit.calibration.ranges import Range, choose_range, quantization_of
from mcukit.calibration.statistics import MapStatistics
from mcukit.graph.graph import Graph, Node, Quantization, Tensor
from mcukit.precision.plain_rounding import WeightRounding, plain_rounding
from mcukit.quantized.packing import MAP_BITS
from mcukit.quantized.precision import Precision, quantization_groups
from mcukit.repair.map_equalization import EqualizedMaps
from mcukit.simulation.output_distance import OutputDistance, default_distance
from mcukit.simulation.simulation import Change, Simulation

FloatArray = npt.NDArray[np.float32]

_VARIANTS = 48
"""Changes that run together: all of them keep the sessions of their weights."""


class SimulatedError:
    """Errors at the output of a float network for any bits of its maps and weights.

    statistics: of every map over the calibration images. images: those that errors are measured over (N, height, width,
    channels). ranges: the method, one of MAP_RANGE_METHODS, by which maps other than the input get their ranges; each
    number of bits has its own. weights: how weights are rounded, by default plainly. equalized: what narrow maps are
    like with a scale for each channel, where they are to have one. distance: between outputs, by default what
    `default_distance` takes for this network. threads: as of Simulation.
    """

    def __init__(
        self,
        graph: Graph,
        statistics: Mapping[str, MapStatistics],
        images: FloatArray,
        *,
        ranges: str = "mse",
        weights: WeightRounding | None = None,
        equalized: EqualizedMaps | None = None,
        distance: OutputDistance | None = None,
        threads: int = 0,
    ) -> None:
        self.graph = graph
        self._images = images
        self._weights = weights or plain_rounding(graph)
        self._distance = distance or default_distance(graph)
        self._simulation = Simulation(graph, threads)
        self._groups = quantization_groups(graph)
        self._nodes = {node.name: node for node in graph.nodes if node.operator.has_weights}
        self._grids = {bits: self._map_grids(statistics, ranges, bits) for bits in MAP_BITS}
        self._equalized = () if equalized is None else equalized.sets
        self._channel_grids = (
            {}
            if equalized is None
            else {
                bits: equalized.grids(self._map_grids(equalized.statistics, ranges, bits))
                for bits in MAP_BITS
                if bits < 8
            }
        )
        self._rounded: dict[tuple[str, int], tuple[Tensor, Tensor]] = {}
        self._float = self._simulation.run(images)

    def of(self, precision: Precision) -> float:
        """The error with all maps and weights quantized, those that the precision does not name to 8 bits."""
        return self._distance(self._float, self.outputs(precision))

    def outputs(self, precision: Precision, images: FloatArray | None = None) -> tuple[FloatArray, ...]:
        """Outputs in front of a softmax, of other images than those of the error if there are any."""
        maps = self._chosen_grids(precision)
        weights = {name: self._filter(node, precision.weight_bits(name)) for name, node in self._nodes.items()}
        return self._simulation.run(self._images if images is None else images, Change(maps, weights))

    def alone(
        self, changes: Sequence[Precision], progress: Callable[[int, int], None] | None = None
    ) -> tuple[float, ...]:
        """The error of each of several precisions when nothing else is quantized: what they don't name stays float.

        progress: called with (changes done, changes in all).
        """
        errors: list[float] = []
        for start in range(0, len(changes), _VARIANTS):
            part = changes[start : start + _VARIANTS]
            found = self._simulation.run_each(self._images, [self._change(change) for change in part])
            errors.extend(self._distance(self._float, outputs) for outputs in found)
            if progress:
                progress(len(errors), len(changes))
        return tuple(errors)

    def _change(self, precision: Precision) -> Change:
        narrowed = {self._groups[name] for name in precision.maps}
        chosen = self._chosen_grids(precision)
        maps = {name: chosen[name] for name, group in self._groups.items() if group in narrowed}
        weights = {name: self._filter(self._nodes[name], bits) for name, bits in precision.weights.items()}
        return Change(maps, weights)

    def _chosen_grids(self, precision: Precision) -> dict[str, Quantization]:
        """The grid of every map, with scales for its channels where it gains from them."""
        bits = {self._groups[name]: width for name, width in precision.maps.items()}
        widths = {name: bits.get(group, 8) for name, group in self._groups.items()}
        grids = {name: self._grids[width][name] for name, width in widths.items()}
        for linked in self._equalized:
            if linked.is_narrow(precision, self._groups):
                grids |= {name: self._channel_grids[widths[name]][name] for name in linked.maps if widths[name] < 8}
        return grids

    def _filter(self, node: Node, bits: int) -> tuple[Tensor, Tensor]:
        key = node.name, bits
        if key not in self._rounded:
            self._rounded[key] = self._weights(node, bits)
        return self._rounded[key]

    def _map_grids(self, statistics: Mapping[str, MapStatistics], method: str, bits: int) -> dict[str, Quantization]:
        """What quantize_graph would give every map if all had so many bits."""
        producers = self.graph.producers()
        spans: dict[str, Range] = {}
        prescribed: dict[str, Quantization] = {}
        for name, group in self._groups.items():
            chosen = "min-max" if name in self.graph.inputs else method
            span = choose_range(statistics[name], chosen, bits)
            if name in producers:
                operator = producers[name].operator
                span = span.clipped(*operator.output_limits())
                fixed = operator.fixed_output(self.graph.node_inputs(producers[name]))
                if fixed is not None:
                    prescribed[group] = fixed
            spans[group] = spans[group].union(span) if group in spans else span
        grids = {group: prescribed.get(group) or quantization_of(span, bits) for group, span in spans.items()}
        return {name: grids[group] for name, group in self._groups.items()}
