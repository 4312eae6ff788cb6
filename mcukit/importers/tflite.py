# SPDX-License-Identifier: Apache-2.0
"""Imports a .tflite file: float, or int8 with the file's quantization kept exactly."""

from __future__ import annotations

__all__ = ["TfliteContext", "import_tflite"]

from collections.abc import Sequence
from typing import NoReturn, TypeVar

import numpy as np
import numpy.typing as npt

from mcukit.errors import McukitError, Problem
from mcukit.graph.graph import Graph, Node, Quantization, Shape, Tensor
from mcukit.graph.validate import validate
from mcukit.ops.activation import RELU, RELU6, RELU_N1_TO_1, UNBOUNDED, Clamp
from mcukit.ops.operator import TFLITE_IMPORTERS, Operator, load_operators
from mcukit.ops.window import Window
from mcukit.tflite import schema
from mcukit.tflite.enums import ActivationFunctionType, BuiltinOperator, Padding, TensorType
from mcukit.tflite.options import Options
from mcukit.tflite.reader import read_tflite

_CLAMPS = {
    ActivationFunctionType.NONE: UNBOUNDED,
    ActivationFunctionType.RELU: RELU,
    ActivationFunctionType.RELU6: RELU6,
    ActivationFunctionType.RELU_N1_TO_1: RELU_N1_TO_1,
}

LARGEST_MAP_ELEMENTS = 1 << 26

OptionsT = TypeVar("OptionsT", bound=Options)


class _Refusal(Exception):  # noqa: N818 - not an error of this program but a finding
    """A problem with one operator; the import goes on with the next."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


class TfliteContext:
    """What the operators' import functions see of the file, and where they leave their nodes."""

    def __init__(self, model: schema.Model) -> None:
        self._model = model
        self._main = model.main
        self.tensors: dict[str, Tensor] = {}
        self.nodes: list[Node] = []
        # TFLite does not ask for unique names; mcukit does.
        self._names = _unique_names([tensor.name for tensor in self._main.tensors])
        self._taken = frozenset(self._names)
        self._aliases: dict[int, int] = {}
        self.where = ""
        kinds = {self._main.tensors[index].type for index in self._main.inputs}
        produced = {self._main.tensors[i].type for operator in self._main.operators for i in operator.outputs}
        self.is_quantized = TensorType.INT8 in kinds | produced

    def options(self, operator: schema.Operator, table: type[OptionsT]) -> OptionsT:
        """The operator's options; the schema's defaults where the file has none."""
        if operator.options is None and not operator.has_unread_options:
            return table()
        return operator.options_as(table)

    def has_input(self, operator: schema.Operator, position: int) -> bool:
        return position < len(operator.inputs) and operator.inputs[position] != schema.ABSENT

    def is_constant(self, operator: schema.Operator, position: int) -> bool:
        return self._model.constant(self._index(operator, position)) is not None

    def input(self, operator: schema.Operator, position: int) -> Tensor:
        """A feature map."""
        index = self._index(operator, position)
        if self._model.constant(index) is not None:
            self.unsupported(
                "it computes on a constant where a feature map is expected", "fold constants when exporting"
            )
        name = self._names[index]
        if name not in self.tensors:
            self.invalid(f"its input '{name}' is computed by no operator before it")
        return self.tensors[name]

    def constant_input(self, operator: schema.Operator, position: int) -> Tensor:
        """A constant with its data, registered as a tensor of the graph."""
        index = self._index(operator, position)
        data = self._model.constant(index)
        if data is None:
            self.unsupported(f"its input {position} is not a constant", "export the model with constant weights")
        if np.issubdtype(data.dtype, np.floating) and not np.isfinite(data).all():
            raise _Refusal(
                Problem("non-finite-weights", f"its constant '{self._names[index]}' holds NaN or infinity", self.where)
            )
        if self.is_quantized and data.dtype not in (np.int8, np.int32):
            self.unsupported(f"its constant has type {data.dtype}", "quantize the model fully to int8")
        if self.is_quantized and self._quantization(index) is None:
            self.unsupported(f"its constant '{self._names[index]}' has no scale", "quantize the model fully to int8")
        if not self.is_quantized and data.dtype.kind != "f":
            self.unsupported(
                f"its constant has type {data.dtype} in a network that computes in float",
                "export the model without quantization, or quantize it fully to int8",
            )
        wide = data if self.is_quantized else data.astype(np.float32)
        tensor = Tensor(self._names[index], data.shape, wide, self._quantization(index))
        self.tensors[tensor.name] = tensor
        return tensor

    def integers_input(self, operator: schema.Operator, position: int) -> npt.NDArray[np.int64]:
        """A shape, axes or paddings."""
        data = self._model.constant(self._index(operator, position))
        if data is None or data.dtype.kind not in "iu":
            self.unsupported(
                f"its input {position} is not a constant of integers", "export the model with static shapes"
            )
        return data.astype(np.int64)

    def bias_input(self, operator: schema.Operator, position: int, channels: int, filter_index: int) -> Tensor:
        """The bias, or zeros where the operator has none. Looks at the weights too: they are what it belongs to."""
        source, weights = self.input(operator, 0), self.constant_input(operator, filter_index)
        if self.is_quantized:
            self._check_weights(weights, channels)
        if self.has_input(operator, position):
            bias = self.constant_input(operator, position)
            if bias.shape != (channels,):
                self.invalid(f"its bias has shape {bias.shape}, its weights have {channels} channels")
            if self.is_quantized and np.asarray(bias.data).dtype != np.int32:
                self.unsupported("its bias is not int32", "quantize the model fully to int8")
            return bias
        name = f"{weights.name}/zero_bias"
        while name in self._taken:
            name += "_"
        if self.is_quantized:
            if source.quantization is None or weights.quantization is None:
                self.invalid("its tensors have no quantization")
            scale = np.float32(source.quantization.tensor_scale) * weights.quantization.scale
            bias = Tensor(name, (channels,), np.zeros(channels, np.int32), Quantization(scale, 0, 0, bits=32))
        else:
            bias = Tensor(name, (channels,), np.zeros(channels, np.float32))
        self.tensors[name] = bias
        return bias

    def _check_weights(self, weights: Tensor, channels: int) -> None:
        if weights.data is None or weights.data.dtype != np.int8:
            self.unsupported("its weights are not int8", "quantize the model fully to int8")
        if weights.quantization is None or weights.quantization.zero_point != 0:
            self.unsupported("its weights have a zero point other than 0", "quantize weights symmetrically")
        if weights.quantization.scale.size not in (1, channels):
            self.invalid(f"its weights have {weights.quantization.scale.size} scales for {channels} channels")

    def clamp(self, activation: ActivationFunctionType) -> Clamp:
        if activation not in _CLAMPS:
            self.unsupported(f"it fuses the activation {activation.name}", "use ReLU or ReLU6, or a separate operator")
        return _CLAMPS[activation]

    def window(
        self,
        padding: Padding,
        source: Tensor,
        kernel: tuple[int, int],
        stride: tuple[int, int],
        dilation: tuple[int, int],
    ) -> Window:
        """The geometry with TFLite's padding written out."""
        if len(source.shape) != 4:
            self.invalid(f"its input has shape {source.shape}, expected NHWC")
        if min(*kernel, *stride, *dilation) < 1:
            self.invalid(f"its kernel {kernel}, stride {stride} or dilation {dilation} is not positive")
        window = Window(kernel, stride, dilation)
        if padding == Padding.VALID:
            return window
        return Window(kernel, stride, dilation, window.same_pads(source.shape[1], source.shape[2]))

    def add(
        self, operator: schema.Operator, op: Operator, inputs: Sequence[str], output_shape: Shape | None = None
    ) -> Tensor:
        """Adds a node that computes the operator's output; its shape has to be the one that the file declares."""
        index = operator.outputs[0]
        shape = op.output_shape([self.tensors[name] for name in inputs]) if output_shape is None else output_shape
        declared = self._main.tensors[index].shape
        if tuple(declared) != tuple(shape) and _with_batch_one(declared) != tuple(shape):
            self.invalid(f"its output is declared as {tuple(declared)} but computes {tuple(shape)}")
        return self.add_map(index, shape, op, inputs)

    def add_map(self, index: int, shape: Shape, op: Operator, inputs: Sequence[str]) -> Tensor:
        name = self._names[index]
        quantization = self._map_quantization(index)
        if self.is_quantized and self._main.tensors[index].type != TensorType.INT8:
            self.unsupported(
                f"its output has type {self._main.tensors[index].type.name}", "quantize the model fully to int8"
            )
        tensor = Tensor(name, shape, None, quantization)
        self.tensors[name] = tensor
        self.nodes.append(Node(name, op, tuple(inputs), name))
        return tensor

    def add_input(self, index: int) -> None:
        """The network's input."""
        described = self._main.tensors[index]
        shape = _with_batch_one(described.shape)
        if not shape or min(shape) < 1 or shape[0] != 1 or described.elements > LARGEST_MAP_ELEMENTS:
            self.invalid(f"the input '{described.name}' has shape {tuple(described.shape)}")
        expected = TensorType.INT8 if self.is_quantized else TensorType.FLOAT32
        if described.type != expected:
            self.unsupported(f"the input has type {described.type.name}", f"export it with {expected.name} inputs")
        name = self._names[index]
        quantization = self._map_quantization(index)
        self.tensors[name] = Tensor(name, shape, None, quantization)

    def entrance(self) -> schema.Operator | None:
        """The QUANTIZE at the entrance of an int8 network whose input is float32 or uint8.

        mcukit's network begins after it, with int8. From uint8 only the zero point may change, so that an application
        can do the same by flipping the upper bit of every byte.
        """
        index = self._main.inputs[0]
        kind = self._main.tensors[index].type
        readers = [operator for operator in self._main.operators if index in operator.inputs]
        if not self.is_quantized or kind not in (TensorType.FLOAT32, TensorType.UINT8) or len(readers) != 1:
            return None
        if readers[0].builtin != BuiltinOperator.QUANTIZE or index in self._main.outputs or not readers[0].outputs:
            return None
        if kind == TensorType.UINT8 and not self._only_moves_zero_point(index, readers[0].outputs[0]):
            self.unsupported(
                "its uint8 input is rescaled at the entrance", "export the model with int8 or float inputs"
            )
        return readers[0]

    def _only_moves_zero_point(self, before: int, after: int) -> bool:
        ours, theirs = (self._main.tensors[index].quantization for index in (after, before))
        if ours is None or theirs is None or not ours.zero_point or not theirs.zero_point:
            return False
        return ours.scale == theirs.scale and theirs.zero_point[0] - ours.zero_point[0] == 128

    def skip(self, operator: schema.Operator) -> None:
        """Drops an operator that only changes the type at the network's edge: its output is its input."""
        source = self.input(operator, 0)
        if self._names[operator.outputs[0]] in self.tensors:
            self.invalid("its output is the network's input or another operator's output")
        self._aliases[operator.outputs[0]] = self._names.index(source.name)

    def name_of(self, index: int) -> str:
        """The graph's name of a tensor of the file."""
        while index in self._aliases:
            index = self._aliases[index]
        return self._names[index]

    def unsupported(self, reason: str, hint: str) -> NoReturn:
        raise _Refusal(Problem("unsupported-operator", reason, self.where, hint))

    def invalid(self, reason: str) -> NoReturn:
        raise _Refusal(Problem("invalid-model", reason, self.where))

    def placeholder(self, operator: schema.Operator) -> None:
        """Stands for the output of a refused operator, so that the operators after it are looked at too."""
        for index in operator.outputs:
            try:
                quantization = self._quantization(index)
            except _Refusal:
                quantization = None
            shape = _with_batch_one(self._main.tensors[index].shape)
            self.tensors[self._names[index]] = Tensor(self._names[index], shape, None, quantization)

    def _index(self, operator: schema.Operator, position: int) -> int:
        if not self.has_input(operator, position):
            self.invalid(f"it has no input {position}")
        index = operator.inputs[position]
        while index in self._aliases:
            index = self._aliases[index]
        return index

    def _map_quantization(self, index: int) -> Quantization | None:
        """A map's one scale and zero point; None in a float file."""
        quantization = self._quantization(index)
        if self.is_quantized and (quantization is None or quantization.scale.size != 1):
            self.unsupported(
                f"the map '{self._names[index]}' has no scale and zero point", "quantize the model fully to int8"
            )
        return quantization

    def _quantization(self, index: int) -> Quantization | None:
        """The file's scales as they are; None in a float file."""
        tensor = self._main.tensors[index]
        parameters = tensor.quantization
        if not self.is_quantized or parameters is None or not parameters.scale:
            return None
        scale = np.array(parameters.scale, np.float32)
        zero_points = set(parameters.zero_point) or {0}
        if scale.size > 1 and zero_points != {0}:
            self.unsupported(f"'{tensor.name}' has zero points per channel", "quantize weights symmetrically")
        axis = parameters.quantized_dimension if scale.size > 1 else None
        return Quantization(scale, int(min(zero_points)), axis, 32 if tensor.type == TensorType.INT32 else 8)


def import_tflite(data: bytes, name: str, where: str) -> Graph:
    """The Graph of a .tflite file, with quantization where the file is int8.

    data: the file; name: the network's; where: how messages call the file. All problems are reported at once.
    """
    load_operators()
    model = read_tflite(data, where)
    context = TfliteContext(model)
    problems = []
    main = model.main
    if len(main.inputs) != 1:
        raise McukitError(
            "unsupported-model",
            f"it has {len(main.inputs)} inputs, mcukit takes one",
            where=where,
            hint="split the model, or export it with a single input",
        )
    context.where = where
    try:
        entrance = context.entrance()
        context.add_input(main.inputs[0] if entrance is None else entrance.outputs[0])
    except _Refusal as refusal:
        raise McukitError.collect([refusal.problem]) from None
    for position, operator in enumerate(main.operators):
        if operator is entrance:
            continue
        context.where = _place(model, position, operator)
        try:
            _import_operator(context, operator, main)
        except _Refusal as refusal:
            problems.append(refusal.problem)
            context.placeholder(operator)
        except McukitError as error:
            problems.extend(Problem(p.code, p.message, p.where or context.where, p.hint) for p in error.problems)
            context.placeholder(operator)
    if problems:
        raise McukitError.collect(problems)
    outputs = tuple(context.name_of(index) for index in main.outputs)
    source = main.inputs[0] if entrance is None else entrance.outputs[0]
    graph = Graph(name, context.tensors, tuple(context.nodes), (context.name_of(source),), outputs)
    graph = graph.replace()
    validate(graph)
    return graph


def _import_operator(context: TfliteContext, operator: schema.Operator, main: schema.SubGraph) -> None:
    leaves = len(operator.outputs) == 1 and operator.outputs[0] in main.outputs
    if operator.builtin == BuiltinOperator.DEQUANTIZE and leaves and context.is_quantized:
        # A float output is the application's business: mcukit's networks end with their last int8 map.
        context.skip(operator)
        return
    importer = TFLITE_IMPORTERS.get(operator.builtin)
    if importer is None:
        context.unsupported("this operator is not supported", "`mcukit ops` lists those that are")
    if len(operator.outputs) != 1:
        context.invalid(f"it has {len(operator.outputs)} outputs")
    importer(context, operator)


def _place(model: schema.Model, position: int, operator: schema.Operator) -> str:
    names = [model.main.tensors[index].name for index in operator.outputs]
    return f"operator {position} ({operator.name}) computing '{', '.join(names)}'"


def _with_batch_one(shape: Sequence[int]) -> Shape:
    """A dynamic batch (-1) is one image."""
    return (1, *shape[1:]) if len(shape) > 0 and shape[0] == -1 else tuple(shape)


def _unique_names(names: Sequence[str]) -> list[str]:
    taken: set[str] = set()
    unique = []
    for index, name in enumerate(names):
        candidate = name or f"tensor{index}"
        while candidate in taken:
            candidate = f"{candidate}/{index}"
        taken.add(candidate)
        unique.append(candidate)
    return unique
