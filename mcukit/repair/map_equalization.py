# SPDX-License-Identifier: Apache-2.0
"""A scale for each channel of narrow maps, which costs nothing while the network runs.

With 4 bits, a channel whose values reach a tenth of the largest one's has two steps to itself. Where a layer's output
channel is multiplied by a positive factor and the weights by which the layers behind it multiply that channel are
divided by it, all channels can fill the one range that they share: the factors disappear in weights that have scales of
their own anyway. This is the other side of weight equalization (Nagel et al., "Data-Free Quantization Through Weight
Equalization and Bias Correction", 2019; see mcukit.repair.equalization), with factors from what maps hold instead of
what weights are.
"""

from __future__ import annotations

__all__ = [
    "EqualizedMaps",
    "LinkedMaps",
    "channel_factors",
    "equalize_maps",
    "equalized_maps",
    "equalized_sets",
    "linked_maps",
    "typical_magnitudes",
    "without_limits",
]

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from mcukit.calibration.float_model import FloatModel
from mcukit.calibration.statistics import MapStatistics, collect_statistics
from mcukit.graph.graph import Graph, Node, Quantization
from mcukit.ops.activation import RELU, UNBOUNDED, Clamp
from mcukit.ops.add import Add
from mcukit.ops.average_pool import AveragePool
from mcukit.ops.conv2d import Conv2d
from mcukit.ops.depthwise_conv2d import DepthwiseConv2d
from mcukit.ops.fully_connected import FullyConnected
from mcukit.ops.max_pool import MaxPool
from mcukit.ops.mean import Mean
from mcukit.ops.pad import Pad
from mcukit.ops.resize_nearest import ResizeNearest
from mcukit.ops.sub import Sub
from mcukit.quantized.precision import Precision, check_precision, quantization_groups
from mcukit.repair.equalization import channel_magnitudes
from mcukit.repair.filter_matrix import input_channels, output_channels

Float64Array = npt.NDArray[np.float64]

SMALLEST_SHARE = 1 / 16
"""Of the largest channel: a channel that calibration saw smaller than this keeps room for images that show more."""


TYPICAL_BATCH = 16
"""Images of which the largest value counts; with fewer, common values are cut off, with more, rare ones decide."""


@dataclass(frozen=True)
class LinkedMaps:
    """Maps whose channels can be multiplied by the same factors: a residual's sum and its operands, a pool and its map.

    producers: layers whose output channels take the factors. consumers: layers whose weights take them back.
    """

    maps: tuple[str, ...]
    producers: tuple[Node, ...]
    consumers: tuple[Node, ...]

    def is_narrow(self, precision: Precision, groups: Mapping[str, str]) -> bool:
        """Whether a map has fewer than 8 bits, and no layer that mixes its channels has such weights.

        Weights that have to make up for unlike channels are unlike themselves: with few bits they lose more than the
        map wins. groups: as in quantization_groups.
        """
        bits = {groups[name]: width for name, width in precision.maps.items()}
        mixing = (node for node in self.consumers if not isinstance(node.operator, DepthwiseConv2d))
        return any(bits.get(groups[name], 8) < 8 for name in self.maps) and all(
            precision.weight_bits(node.name) == 8 for node in mixing
        )


@dataclass(frozen=True, eq=False)
class EqualizedMaps:
    """What a simulation must know of linked maps to treat any of them as equalized.

    factors: of the channels of each map. statistics: of the maps of the network in which all sets are equalized.
    """

    sets: tuple[LinkedMaps, ...]
    factors: Mapping[str, Float64Array]
    statistics: Mapping[str, MapStatistics]

    def grids(self, grids: Mapping[str, Quantization]) -> dict[str, Quantization]:
        """From grids of equalized maps to those, with a scale for each channel, of the maps as they were."""
        return {
            name: replace(grids[name], scale=(grids[name].tensor_scale / factors).astype(np.float32))
            for name, factors in self.factors.items()
        }


def equalized_maps(
    model: FloatModel,
    inputs: npt.NDArray[np.float32],
    measure: Callable[[FloatModel, npt.NDArray[np.float32]], Mapping[str, MapStatistics]] = collect_statistics,
) -> EqualizedMaps:
    """All sets of linked maps of a network, measured over calibration images (N, height, width, channels).

    measure: what gives the statistics of a network's maps.
    """
    sets = linked_maps(model.graph)
    magnitudes = typical_magnitudes(model, inputs)
    statistics = measure(FloatModel(equalize_maps(model.graph, magnitudes, sets)), inputs)
    factors = {name: channel_factors(linked, magnitudes) for linked in sets for name in linked.maps}
    return EqualizedMaps(sets, factors, statistics)


def typical_magnitudes(model: FloatModel, inputs: npt.NDArray[np.float32]) -> dict[str, Float64Array]:
    """The largest magnitude in each channel of every map, the mean over batches of images: a single one counts less.

    inputs: calibration images (N, height, width, channels).
    """
    batches = np.array_split(inputs, max(1, len(inputs) // TYPICAL_BATCH))
    found = [channel_magnitudes(model, batch) for batch in batches]
    return {name: np.mean([batch[name] for batch in found], axis=0) for name in found[0]}


def linked_maps(graph: Graph) -> tuple[LinkedMaps, ...]:
    """All sets of maps of a float graph between layers with weights, in the network's order."""
    producers, consumers = graph.producers(), graph.consumers()
    roots: dict[str, str] = {tensor.name: tensor.name for tensor in graph.maps()}

    def root(name: str) -> str:
        while roots[name] != name:
            name = roots[name]
        return name

    for node in graph.nodes:
        if _links(graph, node):
            for name in node.inputs:
                roots[root(node.output)] = root(name)
    members: dict[str, list[str]] = {}
    for name in roots:
        members.setdefault(root(name), []).append(name)
    found = []
    for names in members.values():
        makers = [producers.get(name) for name in names]
        readers = list(dict.fromkeys(node for name in names for node in consumers[name]))
        outside = [node for node in readers if not _links(graph, node)]
        inside = {*graph.inputs, *graph.outputs}.isdisjoint(names)
        layers = [node for node in makers if node is not None and not _links(graph, node)]
        takes = all(map(_takes_factors, layers)) and not (_adds(makers) and any(map(_is_limited, layers)))
        if inside and None not in makers and takes and all(map(_is_layer, outside)):
            shared = (name for node in (*layers, *outside) for name in node.inputs[1:])
            if outside and all(len(consumers[name]) == 1 for name in shared):
                found.append(LinkedMaps(tuple(names), tuple(layers), tuple(outside)))
    return tuple(found)


def equalized_sets(graph: Graph, precision: Precision) -> tuple[LinkedMaps, ...]:
    """The sets of linked maps of a float graph that gain from factors with these bits.

    Raises McukitError "bad-precision" for bits that the network can't have.
    """
    check_precision(graph, precision)
    groups = quantization_groups(graph)
    return tuple(linked for linked in linked_maps(graph) if linked.is_narrow(precision, groups))


def channel_factors(linked: LinkedMaps, magnitudes: Mapping[str, Float64Array]) -> Float64Array:
    """By what each channel is multiplied, at least 1: then all of them reach what the largest one reaches.

    magnitudes: of the channels of all maps, as typical_magnitudes measures them.
    """
    sizes = np.max([magnitudes[name] for name in linked.maps], axis=0)
    largest = float(sizes.max())
    if largest <= 0.0:
        return np.ones_like(sizes)
    factors: Float64Array = largest / np.maximum(sizes, largest * SMALLEST_SHARE)
    return factors


def equalize_maps(graph: Graph, magnitudes: Mapping[str, Float64Array], sets: Collection[LinkedMaps]) -> Graph:
    """The float `graph` with factors for the channels of some of its linked maps.

    The network computes what it did before, but for channels that a ReLU6 limits: their limit becomes what calibration
    saw at most, or typically at most, which is about where the range of a narrow map ends anyway. Maps stand for other
    values than before.
    """
    tensors, nodes = dict(graph.tensors), {node.name: node for node in graph.nodes}

    def multiply(name: str, factors: Float64Array) -> None:
        values = np.asarray(tensors[name].data, np.float64) * factors
        tensors[name] = replace(tensors[name], data=values.astype(np.float32))

    for linked in sets:
        factors = channel_factors(linked, magnitudes)
        largest = float(np.max([magnitudes[name] for name in linked.maps]))
        for node in linked.producers:
            weights, bias = node.inputs[1:3]
            multiply(weights, factors[output_channels(node, graph.tensors[weights].shape)])
            multiply(bias, factors)
            nodes[node.name] = _with_limit(nodes[node.name], largest)
        for node in linked.consumers:
            weights = node.inputs[1]
            places = input_channels(node, graph.tensors[weights].shape, len(factors))
            multiply(weights, 1.0 / factors[places])
    return graph.replace(tensors=tensors, nodes=tuple(nodes[node.name] for node in graph.nodes))


def without_limits(quantized: Graph, sets: Collection[LinkedMaps]) -> Graph:
    """`quantized` with plain ReLUs where `equalize_maps` put a limit: the range of the map ends there at the latest."""
    limited = {node.name for linked in sets for node in linked.producers if _is_limited(node)}

    def freed(node: Node) -> Node:
        operator = node.operator
        if isinstance(operator, Conv2d | DepthwiseConv2d | FullyConnected) and node.name in limited:
            return replace(node, operator=replace(operator, clamp=RELU))
        return node

    return quantized.replace(nodes=tuple(map(freed, quantized.nodes)))


def _is_layer(node: Node) -> bool:
    return isinstance(node.operator, Conv2d | DepthwiseConv2d | FullyConnected)


def _takes_factors(node: Node) -> bool:
    """Whether what a layer computes can be multiplied channel by channel: a limit other than 0 can't."""
    operator = node.operator
    return isinstance(operator, Conv2d | DepthwiseConv2d | FullyConnected) and (
        operator.clamp == UNBOUNDED or operator.clamp.minimum == 0.0
    )


def _is_limited(node: Node) -> bool:
    operator = node.operator
    return isinstance(operator, Conv2d | DepthwiseConv2d | FullyConnected) and not np.isinf(operator.clamp.maximum)


def _adds(nodes: Sequence[Node | None]) -> bool:
    """Whether a map may be larger than those that it is made of: then no common limit suits them all."""
    return any(node is not None and isinstance(node.operator, Add | Sub) for node in nodes)


def _links(graph: Graph, node: Node) -> bool:
    """Whether a node's output has the channels of its inputs, each multiplied by what they are multiplied by."""
    operator = node.operator
    if isinstance(operator, Add | Sub | AveragePool | MaxPool) and operator.clamp not in (UNBOUNDED, RELU):
        return False
    if isinstance(operator, Pad) and (operator.value != 0.0 or operator.channels != (0, 0)):
        return False
    if not isinstance(operator, Add | Sub | AveragePool | MaxPool | Mean | Pad | ResizeNearest):
        return False
    channels = {graph.tensors[name].shape[-1] for name in (*node.inputs, node.output)}
    return len(channels) == 1 and all(graph.tensors[name].data is None for name in node.inputs)


def _with_limit(node: Node, largest: float) -> Node:
    """A layer whose upper limit, if it has one, lies where its largest channel ends."""
    operator = node.operator
    if not isinstance(operator, Conv2d | DepthwiseConv2d | FullyConnected) or not _is_limited(node):
        return node
    limit = min(operator.clamp.maximum, largest) if largest > 0.0 else operator.clamp.maximum
    return replace(node, operator=replace(operator, clamp=Clamp(operator.clamp.minimum, limit)))
