# SPDX-License-Identifier: Apache-2.0
"""What functions that import ONNX operators see: nodes with checked attributes, and the graph being built.

ONNX values are views of physical tensors (see onnx_broadcast): transposes and reshapes change the view only.
"""

from __future__ import annotations

__all__ = ["AttributeValue", "OnnxContext", "OnnxNode", "View"]

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from mcukit.errors import McukitError, Problem
from mcukit.graph.graph import Node, Shape, Tensor
from mcukit.graph.validate import MAX_ELEMENTS
from mcukit.importers.onnx_broadcast import IndexArray, Offsets, broadcast_order, same_index
from mcukit.importers.onnx_window import onnx_window
from mcukit.ops.operator import Operator
from mcukit.ops.reshape import Reshape
from mcukit.ops.window import Window

AttributeValue = int | float | str | tuple[int, ...] | tuple[float, ...] | npt.NDArray[np.generic]

_TRANSPOSE_HINT = "export the model without the Transpose or Reshape in front of this node"


@dataclass(frozen=True, eq=False)
class OnnxNode:
    """A node of the file. An absent optional input is "". Attribute types agree with the operator's schema.

    name: unique among the nodes; the file's name where it has one.
    """

    op_type: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, AttributeValue]

    @property
    def where(self) -> str:
        """The place that errors name."""
        return f"node '{self.name}' ({self.op_type})"

    def allow(self, *attribute_names: str) -> None:
        """Reports every attribute that isn't one of these."""
        extra = [name for name in self.attributes if name not in attribute_names]
        if extra:
            raise McukitError.collect(
                [
                    Problem(
                        "unsupported-attribute",
                        f"attribute '{name}' is not supported",
                        self.where,
                        "export the model without it",
                    )
                    for name in extra
                ]
            )

    def has_input(self, index: int) -> bool:
        return index < len(self.inputs) and self.inputs[index] != ""

    def has(self, name: str) -> bool:
        """Whether the attribute is given."""
        return name in self.attributes

    def integer(self, name: str, default: int) -> int:
        value = self.attributes.get(name, default)
        return value if isinstance(value, int) else self._wrong_type(name)

    def integers(self, name: str, default: tuple[int, ...]) -> tuple[int, ...]:
        value = self.attributes.get(name, default)
        if not isinstance(value, tuple):
            self._wrong_type(name)
        return tuple(item if isinstance(item, int) else self._wrong_type(name) for item in value)

    def real(self, name: str, default: float) -> float:
        """A finite number."""
        value = self.attributes.get(name, default)
        if not isinstance(value, int | float):
            self._wrong_type(name)
        if not math.isfinite(value):
            raise McukitError("invalid-model", f"attribute '{name}' is {value}", where=self.where)
        return float(value)

    def text(self, name: str, default: str) -> str:
        value = self.attributes.get(name, default)
        return value if isinstance(value, str) else self._wrong_type(name)

    def _wrong_type(self, name: str) -> NoReturn:
        raise McukitError("invalid-model", f"attribute '{name}' has the wrong type", where=self.where)


@dataclass(frozen=True, eq=False)
class View:
    """An ONNX value as elements of a tensor. index: ONNX shape; flat offsets into the tensor, each exactly once."""

    tensor: str
    index: IndexArray


class OnnxContext:
    """The graph under construction.

    tensors, nodes: what has been built. opset: version of the operators in the file.
    """

    def __init__(
        self,
        shapes: Mapping[str, Shape],
        constants: Mapping[str, npt.NDArray[np.generic]],
        node_names: Iterable[str],
        values: Iterable[str],
        opset: int,
    ) -> None:
        """shapes: of all values whose shape is known. constants: initializers. node_names, values: all of the file."""
        self.opset = opset
        self.tensors: dict[str, Tensor] = {}
        self.nodes: list[Node] = []
        self._shapes = shapes
        self._constants = dict(constants)
        self._views: dict[str, View] = {}
        self._reshaped: dict[tuple[str, Shape], Tensor] = {}
        self._taken = {*shapes, *constants, *values}
        self._node_names = set(node_names)
        self._place: OnnxNode | None = None
        self._offsets = Offsets()

    def enter(self, node: OnnxNode | None) -> None:
        """From here on problems are those of `node`."""
        self._place = node

    # What values are

    def shape(self, value: str) -> Shape:
        """ONNX shape; batch is 1."""
        if value in self._views:
            return self._views[value].index.shape
        if self._shapes.get(value) == ():
            self.unsupported(f"'{value}' is a scalar", "export the model with maps of shape (1, N) or (1, C, H, W)")
        if value not in self._shapes:
            self.problem("dynamic-shape", f"the shape of '{value}' is not known", "export with fixed sizes")
        return self._shapes[value]

    def has_shape(self, value: str) -> bool:
        """Whether the shape of a value is static, imported or not."""
        return value in self._shapes

    def knows(self, value: str) -> bool:
        """Whether a value has been imported, as a map or a constant."""
        return value in self._views or value in self._constants

    def is_constant(self, value: str) -> bool:
        return value in self._constants

    def constant(self, value: str) -> npt.NDArray[Any]:
        """The array of a constant; floats as float32, ONNX axis order. Other values are reported as unsupported."""
        if value not in self._constants:
            self.unsupported(f"its input '{value}' is computed, but has to be constant", "make it an initializer")
        array = self._constants[value]
        return _as_float32(array) if _is_float(array) else array

    def set_constant(self, value: str, array: npt.NDArray[np.generic]) -> None:
        """Makes an ONNX value known as a constant."""
        self._constants[value] = array

    def view(self, value: str) -> View:
        """Where the elements of a computed value lie."""
        if value in self._constants:
            self.unsupported(f"its input '{value}' is constant, but has to be computed", "fold it before exporting")
        if value not in self._views:
            self.invalid(f"its input '{value}' is not a feature map")
        return self._views[value]

    def set_view(self, value: str, view: View) -> None:
        """Says where the elements of a value lie; only for outputs of the node being imported, or new names."""
        if view.index.size != self.tensors[view.tensor].elements:
            self.invalid(f"'{value}' doesn't have all elements of '{view.tensor}'")
        if view.index.shape != self._shapes.get(value, view.index.shape):
            self.invalid(
                f"'{value}' has shape {self._shapes[value]} by the standard, but {view.index.shape} by its operands"
            )
        if view.index.ndim == 0:
            self.unsupported(f"'{value}' is a scalar", "export the model with outputs of shape (1, N)")
        if self.knows(value) and (self._place is None or value not in self._place.outputs):
            self.invalid(f"it would define '{value}' again")
        self._views[value] = view

    # Values in the form that operators need

    def operand(self, value: str) -> Tensor:
        """The tensor that holds a value, in whatever order and shape."""
        return self.tensors[self.view(value).tensor]

    def nhwc(self, value: str) -> Tensor:
        """A rank-4 value (NCHW in ONNX) as a tensor (1, height, width, channels)."""
        view = self.view(value)
        if view.index.ndim != 4 or view.index.shape[0] != 1:
            hint = "only 2-D networks with batch 1 run on rows"
            self.unsupported(f"its input '{value}' has shape {view.index.shape}, not (1, C, H, W)", hint)
        _, channels, height, width = view.index.shape
        if not same_index(view.index, self._offsets.nchw(height, width, channels)):
            self.unsupported(f"its input '{value}' lies in an order that would take a Transpose", _TRANSPOSE_HINT)
        return self._in_shape(view.tensor, (1, height, width, channels))

    def vector(self, value: str) -> tuple[Tensor, npt.NDArray[np.int32]]:
        """A value flattened to (1, N), and the physical element that each ONNX element is."""
        view = self.view(value)
        return self._in_shape(view.tensor, (1, view.index.size)), view.index.ravel()

    def window(self, node: OnnxNode, source: Tensor, kernel: tuple[int, int]) -> Window:
        """The window that auto_pad, pads, strides, dilations and ceil_mode describe, on a map of this size.

        ceil_mode adds rows and columns at the end.
        """
        return onnx_window(node, source, kernel)

    # Adding to the graph

    def add_nhwc(self, node: OnnxNode, operator: Operator, inputs: list[str]) -> Tensor:
        """Adds a node whose NHWC output is the ONNX value node.outputs[0] in NCHW order, dimensions of 1 aside."""
        output = self._add(node.name, operator, inputs, node.outputs[0])
        if len(output.shape) != 4 or output.shape[0] != 1:
            self.invalid(f"its output has shape {output.shape}, not (1, H, W, C)")
        index = self._offsets.nchw(*output.shape[1:])
        self.set_view(node.outputs[0], View(output.name, index.reshape(self._checked_shape(node, index.shape))))
        return output

    def add_vector(
        self, node: OnnxNode, operator: Operator, inputs: list[str], order: IndexArray | None = None
    ) -> Tensor:
        """Adds a node whose output (1, N) is the ONNX value node.outputs[0].

        order: the physical element that each ONNX element is; by default both have the same order.
        """
        output = self._add(node.name, operator, inputs, node.outputs[0])
        shape = self._checked_shape(node, output.shape)
        index = self._offsets.plain(shape) if order is None else order.reshape(shape)
        self.set_view(node.outputs[0], View(output.name, index))
        return output

    def add_intermediate(self, node: OnnxNode, suffix: str, operator: Operator, inputs: list[str]) -> Tensor:
        """Adds a node that `node` needs before its last one; its output is no ONNX value."""
        return self._add(f"{node.name}/{suffix}", operator, inputs, f"{node.name}/{suffix}/output")

    def add_constant(self, node: OnnxNode, suffix: str, array: npt.NDArray[np.generic]) -> str:
        """Name of a new constant tensor; floats become float32 and have to be finite."""
        data = np.ascontiguousarray(_as_float32(array) if _is_float(array) else array)
        if data.size == 0:
            self.invalid(f"its {suffix} are empty")
        if _is_float(data) and not np.isfinite(data).all():
            hint = "look for a diverged training run or a batch normalization with variance 0"
            self.problem("non-finite-weights", f"its {suffix} hold NaN or infinity", hint)
        name = self._unique(f"{node.name}/{suffix}")
        self.tensors[name] = Tensor(name, data.shape, data)
        return name

    def unary(self, node: OnnxNode, operator: Operator) -> Tensor:
        """Adds an operator that treats elements, or rows, one by one: the output lies in memory as the input does."""
        view = self.view(node.inputs[0])
        output = self._add(node.name, operator, [view.tensor], node.outputs[0])
        self.set_view(node.outputs[0], View(output.name, view.index))
        return output

    def elementwise(self, node: OnnxNode, make_operator: Callable[[], Operator]) -> Tensor:
        """Adds an operator of two operands that broadcast, maps or constants, in the node's order.

        One of them is a map of the output's size. The other one broadcasts against it in memory as it does in ONNX.
        """
        shapes = [self._operand_shape(value) for value in node.inputs[:2]]
        try:
            shape = np.broadcast_shapes(*shapes)
        except ValueError:
            self.invalid(f"operands of shapes {shapes[0]} and {shapes[1]} don't broadcast")
        elements = math.prod(shape)
        full = [i for i in range(2) if not self.is_constant(node.inputs[i]) and math.prod(shapes[i]) == elements]
        if not full:
            self.unsupported(
                f"neither of its operands {shapes[0]} and {shapes[1]} is a feature map of the output's size",
                "expand one of them before exporting",
            )
        # Where both fit, the one of higher rank keeps its layout: the other one may be a bare vector.
        large = max(full, key=lambda i: len(self.operand(node.inputs[i]).shape))
        view = self.view(node.inputs[large])
        index = view.index.reshape(shape)
        operands = ["", ""]
        operands[large] = view.tensor
        operands[1 - large] = self._broadcast(node, node.inputs[1 - large], index, self.tensors[view.tensor].shape)
        output = self._add(node.name, make_operator(), operands, node.outputs[0])
        self.set_view(node.outputs[0], View(output.name, index))
        return output

    # Problems

    def unsupported(self, reason: str, hint: str) -> NoReturn:
        """Reports that mcukit can't do what the node asks for."""
        self.problem("unsupported-operator", reason, hint)

    def invalid(self, reason: str) -> NoReturn:
        """Reports that the node contradicts itself or the ONNX standard."""
        self.problem("invalid-model", reason, "export the model again")

    def problem(self, code: str, reason: str, hint: str) -> NoReturn:
        """Reports a problem of the current node."""
        raise McukitError(code, reason, where="" if self._place is None else self._place.where, hint=hint)

    # For the importer itself

    def add_input(self, value: str, channels_last: bool) -> Tensor:
        """Adds a graph input; channels_last: a rank-4 value is NHWC in ONNX already."""
        return self._map_like(value, nchw=not channels_last)

    def add_placeholder(self, value: str) -> None:
        """Stands in for the output of a node that could not be imported, so that the ones behind it can be checked."""
        if value and value in self._shapes and not self.knows(value):
            self._map_like(value, nchw=True)

    def output(self, value: str) -> Tensor:
        """A graph output as a tensor: NHWC for rank 4, otherwise in the order and shape that ONNX gives it."""
        view = self.view(value)
        shape = view.index.shape
        if len(shape) == 4 and same_index(view.index, self._offsets.nchw(*shape[2:], shape[1])):
            return self._in_shape(view.tensor, (shape[0], *shape[2:], shape[1]))
        if not same_index(view.index, self._offsets.plain(shape)):
            self.unsupported(
                f"output '{value}' lies in an order that would take a Transpose",
                "remove the last Transpose, Reshape or Flatten before exporting",
            )
        return self._in_shape(view.tensor, shape if len(shape) > 1 else (1, *shape) if shape else (1, 1))

    def _map_like(self, value: str, nchw: bool) -> Tensor:
        shape = self.shape(value)
        if nchw and len(shape) == 4 and shape[0] == 1:
            _, channels, height, width = shape
            tensor = Tensor(value, (1, height, width, channels))
            index = self._offsets.nchw(height, width, channels)
        else:
            tensor, index = Tensor(value, shape), self._offsets.plain(shape)
        self.tensors[value] = tensor
        self._views[value] = View(value, index)
        return tensor

    def _add(self, name: str, operator: Operator, inputs: list[str], output: str) -> Tensor:
        shape = operator.output_shape([self.tensors[source] for source in inputs])
        if any(size < 1 for size in shape) or math.prod(shape) > MAX_ELEMENTS:
            self.invalid(f"its output would have shape {shape}")
        is_value = self._place is not None and output in self._place.outputs
        tensor = Tensor(output if is_value else self._unique(output), shape)
        self.tensors[tensor.name] = tensor
        is_node = self._place is not None and name == self._place.name
        self.nodes.append(Node(name if is_node else self._unique_node_name(name), operator, tuple(inputs), tensor.name))
        return tensor

    def _in_shape(self, name: str, shape: Shape) -> Tensor:
        """The tensor itself, or a Reshape of it; readers of the same shape share one."""
        tensor = self.tensors[name]
        if tensor.shape == shape:
            return tensor
        if (name, shape) not in self._reshaped:
            output = f"{name}/{'x'.join(map(str, shape))}"
            self._reshaped[name, shape] = self._add(f"{name}/reshape", Reshape(shape), [name], output)
        return self._reshaped[name, shape]

    def _operand_shape(self, value: str) -> Shape:
        return self._constants[value].shape if self.is_constant(value) else self.view(value).index.shape

    def _broadcast(self, node: OnnxNode, value: str, large: IndexArray, physical: Shape) -> str:
        """Name of a tensor with the value laid out so that it broadcasts against `physical`."""
        is_constant = self.is_constant(value)
        small = self._offsets.plain(self._constants[value].shape) if is_constant else self.view(value).index
        order = broadcast_order(small, large, physical)
        if order is not None and is_constant:
            return self.add_constant(node, "operand", self.constant(value).ravel()[order])
        if order is None or not same_index(order, self._offsets.plain(order.shape)):
            self.unsupported(f"its operand '{value}' lies in an order that would take a Transpose", _TRANSPOSE_HINT)
        return self._in_shape(self.view(value).tensor, order.shape).name

    def _checked_shape(self, node: OnnxNode, computed: Shape) -> Shape:
        """The ONNX shape of the node's output, which has to be `computed` up to dimensions of 1."""
        declared = self._shapes.get(node.outputs[0], computed)
        if [size for size in declared if size != 1] != [size for size in computed if size != 1]:
            self.invalid(f"its output has shape {declared} by the ONNX standard, but {computed} by its operands")
        return declared

    def _unique(self, name: str) -> str:
        return _reserve(name, self._taken)

    def _unique_node_name(self, name: str) -> str:
        return _reserve(name, self._node_names)


def _reserve(name: str, taken: set[str]) -> str:
    candidate, number = name, 1
    while candidate in taken:
        number += 1
        candidate = f"{name}_{number}"
    taken.add(candidate)
    return candidate


def _is_float(array: npt.NDArray[np.generic]) -> bool:
    # bfloat16 is a type of ml_dtypes, which NumPy doesn't count as floating.
    return np.issubdtype(array.dtype, np.floating) or array.dtype.name == "bfloat16"


def _as_float32(array: npt.NDArray[np.generic]) -> npt.NDArray[np.float32]:
    with np.errstate(over="ignore", invalid="ignore"):
        return array.astype(np.float32)
