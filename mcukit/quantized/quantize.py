# SPDX-License-Identifier: Apache-2.0
"""From a float Graph and ranges to a quantized Graph: maps get scales and zero points, constants integers."""

from __future__ import annotations

__all__ = ["map_quantizations", "quantize_graph", "with_map_quantizations", "with_weights_of"]

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from mcukit.calibration.ranges import Range, quantization_of
from mcukit.graph.graph import Graph, Node, Quantization, Tensor
from mcukit.ops.filters import BIAS_LIMIT
from mcukit.ops.requantize import Requantize
from mcukit.quantized.precision import INT8, Precision, check_precision, quantization_groups


def quantize_graph(graph: Graph, ranges: Mapping[str, Range], precision: Precision = INT8) -> Graph:
    """Integers after the TFLite quantization specification, with per-channel weights.

    ranges: calibrated range of every map, by name. precision: where fewer than 8 bits are used.
    Raises McukitError "bad-precision" with everything that is wrong with the precision.
    """
    bits = check_precision(graph, precision)
    graph, widened = _separate_prescribed_maps(graph, ranges)
    quantizations = map_quantizations(graph, widened, bits)
    tensors = {
        name: replace(tensor, quantization=quantizations.get(name)) if tensor.data is None else tensor
        for name, tensor in graph.tensors.items()
    }
    nodes = []
    for node in graph.nodes:
        inputs = tuple(tensors[name] for name in node.inputs)
        quantized = node.operator.quantize_constants(inputs, precision.weight_bits(node.name))
        names = []
        for before, integers in zip(inputs, quantized, strict=True):
            after = integers
            if before.data is not None:
                # A constant that two nodes share may have integers of its own in each of them.
                shared = len(_readers(graph, before)) > 1
                name = _free_name(tensors, f"{node.name}/{before.name}") if shared else before.name
                after = replace(after, name=name)
                tensors[name] = after
            names.append(after.name)
        nodes.append(replace(node, inputs=tuple(names)))
    return graph.replace(tensors=tensors, nodes=tuple(nodes))


def _free_name(tensors: Mapping[str, Tensor], wanted: str) -> str:
    """`wanted`, or something like it that no tensor is called."""
    name = wanted
    while name in tensors:
        name += "'"
    return name


def _readers(graph: Graph, tensor: Tensor) -> list[Node]:
    return [node for node in graph.nodes if tensor.name in node.inputs]


def _separate_prescribed_maps(graph: Graph, ranges: Mapping[str, Range]) -> tuple[Graph, dict[str, Range]]:
    """Puts a requantization between maps that can't share a scale and the concatenations that ask for it.

    These are maps whose quantization is prescribed (a sigmoid's) and the network's input, whose resolution would
    suffer from its neighbours' ranges.
    """
    producers = graph.producers()
    tensors, nodes, widened = dict(graph.tensors), [], dict(ranges)
    for original in graph.nodes:
        node = original
        maps = graph.map_inputs(node)
        if node.operator.ties_quantization and len(maps) > 1:
            renamed = {}
            for name in dict.fromkeys(maps):
                if not _is_prescribed(graph, producers, name):
                    continue
                copy = _free_name(tensors, f"{name}/requantized/{node.name}")
                tensors[copy] = replace(tensors[name], name=copy)
                widened[copy] = ranges[name]
                nodes.append(Node(copy, Requantize(), (name,), copy))
                renamed[name] = copy
            node = replace(node, inputs=tuple(renamed.get(name, name) for name in node.inputs))
        nodes.append(node)
    return graph.replace(tensors=tensors, nodes=tuple(nodes)), widened


def _is_prescribed(graph: Graph, producers: Mapping[str, Node], name: str) -> bool:
    """Whether the map's quantization comes from elsewhere than its own range."""
    while name in producers:
        node = producers[name]
        if node.operator.fixed_output(graph.node_inputs(node)) is not None:
            return True
        maps = graph.map_inputs(node)
        # A concatenation's own inputs are separated from what is prescribed, so that its range is its own.
        if not node.operator.ties_quantization or len(maps) > 1:
            return False
        name = maps[0]
    return True


def with_map_quantizations(quantized: Graph, changes: Mapping[str, Quantization]) -> Graph:
    """A quantized graph whose maps have other scales and bits, with the same weights.

    changes: by tensor name, for all maps of a group that shares its quantization. Biases are what they stood for, under
    the new scale of the map that their layer reads.
    """
    tensors = dict(quantized.tensors)
    for name, quantization in changes.items():
        tensors[name] = replace(tensors[name], quantization=quantization)
    for node in quantized.nodes:
        if node.operator.has_weights and node.inputs[0] in changes:
            bias, weights = tensors[node.inputs[2]], tensors[node.inputs[1]].quantization
            if weights is None:
                raise ValueError(f"'{node.name}' is not quantized")
            scale = np.float32(changes[node.inputs[0]].tensor_scale) * weights.scale
            tensors[bias.name] = _rescaled_bias(bias, scale)
    return quantized.replace(tensors=tensors)


def with_weights_of(quantized: Graph, other: Graph) -> Graph:
    """`quantized` with the weights of another form of the same network, and biases that stand for what they stood for.

    Maps keep their scales.
    """
    tensors = dict(quantized.tensors)
    for node in quantized.nodes:
        if not node.operator.has_weights:
            continue
        weights, bias = other.tensors[node.inputs[1]], other.tensors[node.inputs[2]]
        source = quantized.tensors[node.inputs[0]].quantization
        if source is None or weights.quantization is None or bias.quantization is None:
            raise ValueError(f"'{node.name}' is not quantized")
        tensors[weights.name] = weights
        tensors[bias.name] = _rescaled_bias(bias, np.float32(source.tensor_scale) * weights.quantization.scale)
    return quantized.replace(tensors=tensors)


def _rescaled_bias(bias: Tensor, scale: npt.NDArray[np.float32]) -> Tensor:
    """The same real values in other steps."""
    if bias.quantization is None:
        raise ValueError(f"'{bias.name}' is not quantized")
    real = np.asarray(bias.data, np.float64) * bias.quantization.scale.astype(np.float64)
    integers = np.clip(np.rint(real / scale.astype(np.float64)), -BIAS_LIMIT, BIAS_LIMIT).astype(np.int32)
    return replace(bias, data=integers, quantization=replace(bias.quantization, scale=scale))


def map_quantizations(graph: Graph, ranges: Mapping[str, Range], bits: Mapping[str, int]) -> dict[str, Quantization]:
    """One quantization per group of maps that must share it. bits: of the maps that were there from the beginning."""
    groups = quantization_groups(graph)
    widths = {groups[name]: width for name, width in bits.items()}
    spans: dict[str, Range] = {}
    prescribed: dict[str, Quantization] = {}
    producers = graph.producers()
    for tensor in graph.maps():
        root = groups[tensor.name]
        span = ranges[tensor.name]
        if tensor.name in producers:
            node = producers[tensor.name]
            span = span.clipped(*node.operator.output_limits())
            fixed = node.operator.fixed_output(graph.node_inputs(node))
            if fixed is not None:
                prescribed[root] = fixed
        spans[root] = spans[root].union(span) if root in spans else span
    return {
        name: prescribed.get(root) or quantization_of(spans[root], widths.get(root, 8)) for name, root in groups.items()
    }
