# SPDX-License-Identifier: Apache-2.0
"""How many bits each map and each layer's weights have."""

from __future__ import annotations

__all__ = ["INT8", "Precision", "check_precision", "quantization_groups", "widest_choice"]

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from mcukit.errors import McukitError, Problem
from mcukit.graph.graph import Graph, map_shape
from mcukit.quantized.packing import MAP_BITS

_CHOICE = "choose 8, 4 or 2"


@dataclass(frozen=True)
class Precision:
    """Bits of maps, by tensor name, and of weights, by node name; whatever is missing has 8.

    Maps that share a quantization (see `quantization_groups`) share their bits: one of them stands for all.
    """

    maps: Mapping[str, int] = field(default_factory=dict)
    weights: Mapping[str, int] = field(default_factory=dict)

    @property
    def is_int8(self) -> bool:
        return all(bits == 8 for bits in (*self.maps.values(), *self.weights.values()))

    def weight_bits(self, node: str) -> int:
        return self.weights.get(node, 8)


INT8 = Precision()
"""8 bits everywhere."""


def quantization_groups(graph: Graph) -> dict[str, str]:
    """For every map the name of one that stands for all with which it shares scale, zero point and bits."""
    group = {tensor.name: tensor.name for tensor in graph.maps()}

    def representative(name: str) -> str:
        while group[name] != name:
            group[name] = group[group[name]]
            name = group[name]
        return name

    for node in graph.nodes:
        if node.operator.ties_quantization:
            for name in graph.map_inputs(node):
                group[representative(name)] = representative(node.output)
    return {name: representative(name) for name in group}


def widest_choice(graph: Graph) -> dict[str, tuple[int, ...]]:
    """For every group of maps, by its representative, the bits that it may have, widest first.

    What enters and leaves the network has 8 bits, as do maps whose quantization an operator prescribes. A map that is
    seen in another shape has no bits to spare between its pixels.
    """
    groups = quantization_groups(graph)
    choices: dict[str, tuple[int, ...]] = dict.fromkeys(groups.values(), MAP_BITS)
    for name in (*graph.inputs, *graph.outputs):
        choices[groups[name]] = (8,)
    for node in graph.nodes:
        root = groups[node.output]
        if node.operator.fixed_output(graph.node_inputs(node)) is not None:
            choices[root] = (8,)
        if node.operator.op_name == "reshape":
            channels = [map_shape(graph.tensors[name].shape)[2] for name in (node.inputs[0], node.output)]
            choices[root] = tuple(bits for bits in choices[root] if all(c * bits % 8 == 0 for c in channels))
    return choices


def check_precision(graph: Graph, precision: Precision) -> dict[str, int]:
    """Bits of every map of a float graph, by tensor name.

    Raises McukitError "bad-precision" with everything that is wrong: names that don't exist, widths that no kernel
    has, maps that share a quantization but not their bits, and maps that can't be that narrow.
    """
    problems = [*_map_problems(graph, precision.maps), *_weight_problems(graph, precision.weights)]
    if problems:
        raise McukitError.collect(problems)
    groups = quantization_groups(graph)
    bits = {groups[name]: width for name, width in precision.maps.items()}
    return {name: bits.get(root, 8) for name, root in groups.items()}


def _map_problems(graph: Graph, maps: Mapping[str, int]) -> Iterator[Problem]:
    groups, choices = quantization_groups(graph), widest_choice(graph)
    first: dict[str, str] = {}
    for name, bits in maps.items():
        where = f"map '{name}'"
        if name not in groups:
            yield Problem("bad-precision", "the network has no such map", where, "mcukit inspect lists the layers")
            continue
        if bits not in MAP_BITS:
            yield Problem("bad-precision", f"maps of {bits} bits have no kernels", where, _CHOICE)
            continue
        other = first.setdefault(groups[name], name)
        if maps[other] != bits:
            message = f"{bits} bits, but '{other}', with which it shares its scale, has {maps[other]}"
            yield Problem("bad-precision", message, where, "give both the same bits, or leave one of them out")
        elif bits not in choices[groups[name]]:
            allowed = " or ".join(map(str, choices[groups[name]]))
            message = f"it can't have {bits} bits, only {allowed}"
            hint = "inputs, outputs and prescribed scales need 8 bits, pixels that are reshaped whole bytes"
            yield Problem("bad-precision", message, where, hint)


def _weight_problems(graph: Graph, weights: Mapping[str, int]) -> Iterator[Problem]:
    nodes = {node.name: node for node in graph.nodes}
    for name, bits in weights.items():
        where = f"node '{name}'"
        if name not in nodes:
            yield Problem("bad-precision", "the network has no such node", where, "mcukit inspect lists the layers")
        elif bits not in MAP_BITS:
            yield Problem("bad-precision", f"weights of {bits} bits have no kernels", where, _CHOICE)
        elif bits != 8 and not nodes[name].operator.has_weights:
            message = f"a {nodes[name].operator.op_name} has no weights"
            yield Problem("bad-precision", message, where, "leave it out")
