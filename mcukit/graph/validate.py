# SPDX-License-Identifier: Apache-2.0
"""Checks that a graph is what every later stage takes for granted."""

from __future__ import annotations

__all__ = ["MAX_ELEMENTS", "MAX_RANK", "validate"]

import numpy as np

from mcukit.errors import McukitError, Problem
from mcukit.graph.graph import Graph, Node, Tensor

MAX_ELEMENTS = 1 << 26
"""No map or constant has more elements; far beyond any microcontroller, and small enough to allocate."""

MAX_RANK = 8
_MAX_MAP_RANK = 4


def validate(graph: Graph) -> None:
    """Raises McukitError ("invalid-model", "non-finite-weights") with every problem of `graph`, or returns.

    Ensures: names are unique; every map is produced exactly once, before it is read; shapes are positive and their
    product is at most MAX_ELEMENTS; constants have data of their shape, all finite; operators agree with the shapes
    of their outputs.
    """
    problems = [problem for name, tensor in graph.tensors.items() for problem in _tensor_problems(name, tensor)]
    problems += _interface_problems(graph)
    problems += _order_problems(graph)
    if not problems:
        problems += [problem for node in graph.nodes for problem in _operator_problems(graph, node)]
    if problems:
        raise McukitError.collect(problems)


def _tensor_problems(name: str, tensor: Tensor) -> list[Problem]:
    where = f"tensor '{name}'"
    if tensor.name != name:
        return [Problem("invalid-model", f"it is also called '{tensor.name}'", where)]
    if any(size < 1 for size in tensor.shape) or len(tensor.shape) > MAX_RANK or tensor.elements > MAX_ELEMENTS:
        limits = f"sizes are positive, at most {MAX_RANK} of them, and their product is at most {MAX_ELEMENTS}"
        return [Problem("invalid-model", f"its shape {tensor.shape} is out of bounds: {limits}", where)]
    if tensor.quantization is not None:
        scale = tensor.quantization.scale
        if not (np.isfinite(scale).all() and (scale > 0).all()):
            return [Problem("invalid-model", "its scale is not positive and finite", where)]
    if tensor.data is None:
        if len(tensor.shape) > _MAX_MAP_RANK:
            return [
                Problem(
                    "invalid-model",
                    f"a feature map of rank {len(tensor.shape)}, at most 4 is possible",
                    where,
                )
            ]
        return []
    if tensor.data.shape != tensor.shape:
        return [Problem("invalid-model", f"its data have shape {tensor.data.shape}, not {tensor.shape}", where)]
    if np.issubdtype(tensor.data.dtype, np.floating) and not np.isfinite(tensor.data).all():
        return [Problem("non-finite-weights", "it holds NaN or infinity", where, "export the model again")]
    return []


def _interface_problems(graph: Graph) -> list[Problem]:
    """Inputs and outputs are distinct maps that exist, and nodes have names of their own."""
    problems = []
    for kind, names in (("input", graph.inputs), ("output", graph.outputs)):
        if not names:
            problems.append(Problem("invalid-model", f"the graph has no {kind}"))
        if len(set(names)) != len(names):
            problems.append(Problem("invalid-model", f"the graph has the same {kind} twice"))
        problems += [
            Problem("invalid-model", f"{kind} '{name}' is not a feature map of the graph")
            for name in names
            if name not in graph.tensors or graph.tensors[name].data is not None
        ]
    seen: set[str] = set()
    for node in graph.nodes:
        if node.name in seen:
            problems.append(Problem("invalid-model", "another node has the same name", _where(node)))
        seen.add(node.name)
    return problems


def _order_problems(graph: Graph) -> list[Problem]:
    """Every map has one producer, which runs before its readers; this rules cycles out."""
    problems = []
    available = {name for name, tensor in graph.tensors.items() if tensor.data is not None} | set(graph.inputs)
    for node in graph.nodes:
        for name in node.inputs:
            if name not in graph.tensors:
                problems.append(Problem("invalid-model", f"it reads '{name}', which does not exist", _where(node)))
            elif name not in available:
                message = f"it reads '{name}' before any node has produced it"
                problems.append(Problem("invalid-model", message, _where(node)))
        if node.output not in graph.tensors:
            problems.append(Problem("invalid-model", f"its output '{node.output}' does not exist", _where(node)))
        elif node.output in available:
            message = f"its output '{node.output}' is an input, a constant or another node's output"
            problems.append(Problem("invalid-model", message, _where(node)))
        available.add(node.output)
    problems += [
        Problem("invalid-model", f"no node produces output '{name}'") for name in graph.outputs if name not in available
    ]
    return problems


def _operator_problems(graph: Graph, node: Node) -> list[Problem]:
    declared = graph.tensors[node.output].shape
    try:
        computed = node.operator.output_shape(graph.node_inputs(node))
    except McukitError as error:
        return [Problem(p.code, p.message, p.where or _where(node), p.hint) for p in error.problems]
    if computed != declared:
        return [Problem("invalid-model", f"its output has shape {computed}, not {declared}", _where(node))]
    return []


def _where(node: Node) -> str:
    return f"node '{node.name}' ({node.operator.op_name})"
