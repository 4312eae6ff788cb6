# SPDX-License-Identifier: Apache-2.0
"""Brings a checked ONNX model into shape for the importer: batch 1, constants folded, shapes inferred."""

from __future__ import annotations

__all__ = ["prepare", "value_shapes"]

import logging
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import onnx
import onnx_ir
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, ValueInfoProto, shape_inference
from onnxscript import optimizer

from mcukit.errors import McukitError, Problem
from mcukit.graph.graph import Shape
from mcukit.graph.validate import MAX_ELEMENTS, MAX_RANK
from mcukit.importers.onnx_checks import node_name

_MAX_TOTAL_ELEMENTS = 1 << 27
"""Bound on the elements of all maps together."""

_FOLD_BUDGET = 1 << 26
"""Elements that constant folding may read and write in all."""

UNSUPPORTED_DOMAIN = "mcukit.unsupported"
"""Domain of nodes whose content was removed because no other code should see it."""

_FOLDABLE = frozenset(
    {
        "Abs",
        "Add",
        "And",
        "Cast",
        "Ceil",
        "Clip",
        "Concat",
        "ConstantOfShape",
        "CumSum",
        "DequantizeLinear",
        "Div",
        "Equal",
        "Exp",
        "Expand",
        "Flatten",
        "Floor",
        "Gather",
        "Greater",
        "GreaterOrEqual",
        "Identity",
        "Less",
        "LessOrEqual",
        "Log",
        "Max",
        "Min",
        "Mod",
        "Mul",
        "Neg",
        "Not",
        "Or",
        "Pow",
        "Range",
        "Reciprocal",
        "ReduceMax",
        "ReduceMin",
        "ReduceProd",
        "ReduceSum",
        "Reshape",
        "Shape",
        "Size",
        "Slice",
        "Sqrt",
        "Squeeze",
        "Sub",
        "Tile",
        "Transpose",
        "Unsqueeze",
        "Where",
    }
)
"""Operators whose work is proportional to the elements they read and write."""


def prepare(model: ModelProto) -> tuple[ModelProto, list[Problem]]:
    """The simplified model, and problems with inputs and shapes.

    Requires: the model passed check_model and its constants are embedded. Ensures: every node has a unique name; the
    inputs are maps with batch 1; what could be computed from constants is an initializer.
    """
    graph = model.graph
    _name_nodes(graph)
    _drop_what_is_never_read(model)
    problems = [problem for value in graph.input for problem in _fix_input(value)]
    try:
        with _silence():
            return _infer(_fold(model)), problems
    except Exception as error:
        # Third-party code on a file: there is no telling what it raises when the file makes no sense.
        message = f"its constants and shapes contradict each other: {_first_line(error)}"
        raise McukitError("invalid-model", message, hint="check it with onnx.checker, or export it again") from error


def value_shapes(graph: GraphProto) -> tuple[dict[str, Shape], list[Problem]]:
    """Shapes of all values that have static positive ones, and problems with their sizes."""
    shapes: dict[str, Shape] = {}
    problems = []
    total = 0
    for value in (*graph.input, *graph.value_info, *graph.output):
        shape = _static_shape(value)
        if shape is None or value.name in shapes:
            continue
        elements = math.prod(shape)
        if elements > MAX_ELEMENTS or len(shape) > MAX_RANK:
            message = f"shape {shape} is out of bounds: at most {MAX_ELEMENTS} elements are possible"
            problems.append(Problem("invalid-model", message, f"value '{value.name}'", "use a smaller input"))
            continue
        total += elements
        shapes[value.name] = shape
    if total > _MAX_TOTAL_ELEMENTS:
        message = f"its feature maps have {total} elements together, at most {_MAX_TOTAL_ELEMENTS} are possible"
        problems.append(Problem("invalid-model", message, hint="use a smaller input"))
    for tensor in graph.initializer:
        shapes[tensor.name] = tuple(tensor.dims)
    return shapes, problems


def _name_nodes(graph: GraphProto) -> None:
    """Gives every node a unique name before other code invents some."""
    taken: set[str] = set()
    for node in graph.node:
        base = candidate = node_name(node)
        number = 1
        while candidate in taken:
            number += 1
            candidate = f"{base}_{number}"
        taken.add(candidate)
        node.name = candidate


def _drop_what_is_never_read(model: ModelProto) -> None:
    """Removes what could only mislead: claimed shapes, functions, subgraphs (their nodes are refused later)."""
    graph = model.graph
    constants = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in constants]
    del graph.input[:]
    graph.input.extend(inputs)
    del graph.value_info[:]
    del graph.quantization_annotation[:]
    del graph.metadata_props[:]
    del model.functions[:]
    del model.training_info[:]
    for value in graph.output:
        value.type.tensor_type.ClearField("shape")
    for node in graph.node:
        if node.domain == "ai.onnx":
            node.domain = ""
        if node.domain or _has_subgraph(node):
            node.domain = UNSUPPORTED_DOMAIN
            del node.attribute[:]
    model.opset_import.add(domain=UNSUPPORTED_DOMAIN, version=1)


def _has_subgraph(node: NodeProto) -> bool:
    return any(attribute.type in (AttributeProto.GRAPH, AttributeProto.GRAPHS) for attribute in node.attribute)


def _fix_input(value: ValueInfoProto) -> list[Problem]:
    """Sets the batch of an input to 1. Problems: other types than float32, other dynamic dimensions."""
    where = f"input '{value.name}'"
    kind = value.type.tensor_type
    if not value.type.HasField("tensor_type") or kind.elem_type != onnx.TensorProto.FLOAT:
        hint = "export the model with a float32 input; the firmware takes int8, quantized from it"
        return [Problem("unsupported-type", "it is no float32 tensor", where, hint)]
    dimensions = kind.shape.dim
    if not 2 <= len(dimensions) <= 4:
        message = f"it has {len(dimensions)} dimensions"
        return [Problem("dynamic-shape", message, where, "export with an input of shape (1, C, H, W) or (1, N)")]
    if dimensions[0].dim_value <= 0:
        dimensions[0].dim_value = 1
    if dimensions[0].dim_value != 1:
        message = f"its batch is {dimensions[0].dim_value}"
        return [Problem("unsupported-batch", message, where, "export with batch 1 or a dynamic batch")]
    problems = []
    for axis, dimension in enumerate(dimensions):
        if dimension.dim_value <= 0:
            named = f" ('{dimension.dim_param}')" if dimension.dim_param else ""
            hint = "export with a fixed size; only the batch may be dynamic"
            problems.append(Problem("dynamic-shape", f"dimension {axis}{named} is dynamic", where, hint))
    return problems


class _FoldBudget:
    """Decides which nodes are folded: cheap operators with known outputs, until the budget is spent."""

    def __init__(self) -> None:
        self._left = _FOLD_BUDGET

    def __call__(self, node: onnx_ir.Node) -> bool:
        if node.domain or node.op_type not in _FOLDABLE or len(node.outputs) != 1:
            return False
        cost = 0
        for value in (*node.inputs, node.outputs[0]):
            if value is None:
                continue
            if value.const_value is not None:
                cost += value.const_value.size
            elif value.shape is not None and value.shape.is_static():
                cost += math.prod(value.shape.numpy())
            else:
                return False
        if not 0 <= cost <= self._left:
            return False
        self._left -= cost
        return True


def _fold(model: ModelProto) -> ModelProto:
    representation = onnx_ir.from_proto(model)
    optimizer.fold_constants_ir(
        representation,
        onnx_shape_inference=True,
        input_size_limit=MAX_ELEMENTS,
        output_size_limit=MAX_ELEMENTS,
        should_fold=_FoldBudget(),
    )
    optimizer.remove_unused_nodes(representation)
    lift = onnx_ir.passes.common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)
    lift(representation)
    return onnx_ir.to_proto(representation)


@contextmanager
def _silence() -> Iterator[None]:
    """Keeps libraries from writing about models that are refused, or folded, in words of our own."""
    loggers = [logging.getLogger(name) for name in ("onnx_ir", "onnxscript")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL + 1)
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _infer(model: ModelProto) -> ModelProto:
    """The model with the shapes that follow from its inputs; shapes that intermediate steps left are dropped."""
    del model.graph.value_info[:]
    for value in model.graph.output:
        value.type.tensor_type.ClearField("shape")
    return shape_inference.infer_shapes(model, data_prop=True)


def _static_shape(value: ValueInfoProto) -> Shape | None:
    if not value.type.tensor_type.HasField("shape"):
        return None
    shape = tuple(dimension.dim_value for dimension in value.type.tensor_type.shape.dim)
    return shape if all(size > 0 for size in shape) else None


def _first_line(error: BaseException) -> str:
    root = error.__cause__ if error.__cause__ is not None else error
    lines = str(root).strip().splitlines()
    return lines[0][:200] if lines else type(root).__name__
