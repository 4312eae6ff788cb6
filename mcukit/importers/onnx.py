# SPDX-License-Identifier: Apache-2.0
"""Imports ONNX models: operator set 11 and later, one float32 input, batch 1, NCHW or NHWC."""

from __future__ import annotations

__all__ = ["import_onnx"]

import os
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, helper

from mcukit.errors import McukitError, Problem
from mcukit.graph.graph import Graph
from mcukit.graph.validate import validate
from mcukit.importers.files import MAX_FILE_BYTES, read_model_file
from mcukit.importers.onnx_checks import check_model, default_opset, parse_model
from mcukit.importers.onnx_context import AttributeValue, OnnxContext, OnnxNode
from mcukit.importers.onnx_prepare import prepare, value_shapes
from mcukit.importers.onnx_refusals import quantized_problem, refusal
from mcukit.importers.onnx_tensors import array_of, embed_external_data
from mcukit.importers.onnx_views import VIEWS
from mcukit.ops.operator import ONNX_IMPORTERS, load_operators

_LAYOUT_NEUTRAL = frozenset({"Add", "Clip", "Div", "Dropout", "Identity", "Mul", "Neg", "Relu", "Sub"})
_NHWC_TO_NCHW = (0, 3, 1, 2)


def import_onnx(source: str | os.PathLike[str] | bytes) -> Graph:
    """The network in an ONNX file (a path, or its bytes): float32, NHWC, named after the file.

    Nodes keep the names they have in the file. Raises McukitError with every problem of the file: each unsupported
    node, attribute and shape, with the node's name and what to do.
    """
    where = "" if isinstance(source, bytes) else str(source)
    data = source if isinstance(source, bytes) else read_model_file(source)
    if len(data) > MAX_FILE_BYTES:
        raise McukitError("file-too-large", f"it is larger than {MAX_FILE_BYTES} bytes", hint="give a smaller model")
    model = parse_model(data, where)
    del data
    _raise_if_any(check_model(model))
    _raise_if_any(quantized_problem(model.graph))
    _raise_if_any(embed_external_data(model, None if isinstance(source, bytes) else Path(source).parent))
    opset = default_opset(model)
    prepared, problems = prepare(model)
    name = "model" if isinstance(source, bytes) else Path(source).stem
    graph = _build(name, prepared, opset, problems)
    validate(graph)
    return graph


def _build(name: str, model: ModelProto, opset: int, problems: list[Problem]) -> Graph:
    """The graph of a prepared model. Raises with all of `problems` and those found here."""
    load_operators()
    graph = model.graph
    shapes, size_problems = value_shapes(graph)
    _raise_if_any([*problems, *size_problems] if size_problems else [])
    constants = {tensor.name: array_of(tensor) for tensor in graph.initializer}
    names, values = (
        [node.name for node in graph.node],
        [value for node in graph.node for value in node.output],
    )
    context = OnnxContext(shapes, constants, names, values, opset)
    if len(graph.input) != 1:
        message = f"it has {len(graph.input)} inputs besides its constants, mcukit takes one"
        problems.append(Problem("unsupported-inputs", message, hint="export the part of the network behind one input"))
    inputs = [
        context.add_input(value.name, _is_channels_last(graph, value.name)).name
        for value in graph.input
        if value.name in shapes
    ]
    refused = set()
    for node in graph.node:
        found = _import_node(context, _onnx_node(node), node.domain)
        problems += found
        if found:
            refused.add(node.name)
    _raise_if_any(problems + _lost_values(context, graph, refused))
    context.enter(None)
    outputs = [context.output(value.name).name for value in graph.output]
    return Graph(name, context.tensors, tuple(context.nodes), tuple(inputs), tuple(dict.fromkeys(outputs)))


def _import_node(context: OnnxContext, node: OnnxNode, domain: str) -> Sequence[Problem]:
    """Adds the node to the graph. Where that fails, placeholders keep the nodes behind it going."""
    importer = None if domain else VIEWS.get(node.op_type) or ONNX_IMPORTERS.get(node.op_type)
    if importer is None:
        problems: Sequence[Problem] = (refusal(node.op_type, domain, node.where),)
    elif not all(context.knows(value) for value in node.inputs if value):
        # Behind a value whose shape is unknown; the problem is reported where it arises.
        return ()
    else:
        problems = ()
        context.enter(node)
        try:
            # What is not finite is reported where it would enter the graph.
            with np.errstate(all="ignore"):
                importer(context, node)
        except McukitError as error:
            problems = [Problem(p.code, p.message, p.where or node.where, p.hint) for p in error.problems]
    if problems:
        for value in node.outputs:
            context.add_placeholder(value)
    return problems


def _lost_values(context: OnnxContext, graph: GraphProto, refused: Collection[str]) -> list[Problem]:
    """Outputs that somebody reads although their node, not refused itself, gave none."""
    read = {value for node in graph.node for value in node.input} | {value.name for value in graph.output}
    problems = []
    for node in graph.node:
        if node.name in refused or not all(context.knows(value) for value in node.input if value):
            continue
        where = _onnx_node(node).where
        for value in node.output:
            if value not in read or context.knows(value):
                continue
            if context.has_shape(value):
                message, hint = f"its output '{value}' is not supported", "export the model without it"
                problems.append(Problem("unsupported-operator", message, where, hint))
            else:
                message = f"the shape of its output '{value}' is dynamic"
                hint = "export with fixed sizes; only the batch may be dynamic"
                problems.append(Problem("dynamic-shape", message, where, hint))
    return problems


def _is_channels_last(graph: GraphProto, value: str) -> bool:
    """Whether the network sees the input only through a Transpose from NHWC to NCHW, elementwise operators aside."""
    readers: dict[str, list[NodeProto]] = {}
    for node in graph.node:
        for name in dict.fromkeys(node.input):
            readers.setdefault(name, []).append(node)
    pending, seen, transposes = [value], {value}, 0
    while pending:
        for node in readers.get(pending.pop(), []):
            if node.op_type == "Transpose" and _permutation(node) == _NHWC_TO_NCHW:
                transposes += 1
            elif node.op_type not in _LAYOUT_NEUTRAL:
                return False
            else:
                fresh = [name for name in node.output if name and name not in seen]
                seen.update(fresh)
                pending += fresh
    return transposes > 0


def _permutation(node: NodeProto) -> tuple[int, ...]:
    return next((tuple(attribute.ints) for attribute in node.attribute if attribute.name == "perm"), ())


def _onnx_node(node: NodeProto) -> OnnxNode:
    attributes = {attribute.name: _attribute_value(attribute) for attribute in node.attribute}
    return OnnxNode(node.op_type, node.name, tuple(node.input), tuple(node.output), attributes)


def _attribute_value(attribute: AttributeProto) -> AttributeValue:
    if attribute.type == AttributeProto.TENSOR:
        return array_of(attribute.t)
    value = helper.get_attribute_value(attribute)
    if isinstance(value, bytes):
        return value.decode()
    return value if isinstance(value, int | float) else tuple(value)


def _raise_if_any(problems: Sequence[Problem]) -> None:
    if problems:
        raise McukitError.collect(problems)
