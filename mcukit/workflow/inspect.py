# SPDX-License-Identifier: Apache-2.0
"""Looks at a model without quantizing it: what it costs, and everything that mcukit can't do with it."""

from __future__ import annotations

__all__ = ["Inspection", "LayerSummary", "inspect_model"]

from dataclasses import dataclass
from pathlib import Path

from mcukit.errors import McukitError, Problem
from mcukit.graph.graph import Graph, Shape
from mcukit.importers.load import load_model
from mcukit.passes import run_passes

UNSUPPORTED_CODES = frozenset({"unsupported-operator", "unsupported-attribute", "dynamic-shape", "unsupported-model"})
"""Problems that say what mcukit can't do, as opposed to what is wrong with the file."""


@dataclass(frozen=True)
class LayerSummary:
    """weight_bytes: constants at int8, biases at int32. map_bytes: of the output at int8."""

    name: str
    op: str
    input_shapes: tuple[Shape, ...]
    output_shape: Shape
    macs: int
    weight_bytes: int
    map_bytes: int


@dataclass(frozen=True)
class Inspection:
    """problems: everything unsupported, by node; empty if `supported`. Then the rest says what the network costs."""

    name: str
    supported: bool
    problems: tuple[Problem, ...]
    macs: int
    parameters: int
    input_shape: Shape
    output_shapes: tuple[Shape, ...]
    layers: tuple[LayerSummary, ...]


def inspect_model(path: Path) -> Inspection:
    """Raises McukitError where the file is broken; what is only unsupported is in the result."""
    try:
        graph = run_passes(load_model(path))
    except McukitError as error:
        if not any(problem.code in UNSUPPORTED_CODES for problem in error.problems):
            raise
        return Inspection(path.stem, False, error.problems, 0, 0, (), (), ())
    layers = tuple(_summaries(graph))
    parameters = sum(tensor.elements for tensor in graph.tensors.values() if tensor.data is not None)
    return Inspection(
        graph.name,
        True,
        (),
        sum(layer.macs for layer in layers),
        parameters,
        graph.tensors[graph.inputs[0]].shape,
        tuple(graph.tensors[name].shape for name in graph.outputs),
        layers,
    )


def _summaries(graph: Graph) -> list[LayerSummary]:
    summaries = []
    for node in graph.nodes:
        tensors, output = graph.node_inputs(node), graph.tensors[node.output]
        constants = [tensor for tensor in tensors if tensor.data is not None]
        # Filters have a bias after them, the constant of an addition stands alone.
        biases = constants[1:]
        weight_bytes = sum(t.elements for t in constants[:1]) + 4 * sum(t.elements for t in biases)
        maps = tuple(tensor.shape for tensor in tensors if tensor.data is None)
        summaries.append(
            LayerSummary(
                node.name,
                node.operator.op_name,
                maps,
                output.shape,
                node.operator.macs(tensors, output),
                weight_bytes,
                output.elements,
            )
        )
    return summaries
