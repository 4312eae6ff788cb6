# SPDX-License-Identifier: Apache-2.0
"""A quantized Graph as a .tflite file that TensorFlow Lite Micro runs with the same bytes."""

from __future__ import annotations

__all__ = ["TfliteBuilder", "add_operator", "build_tflite"]

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

import mcukit
from mcukit.graph.graph import Graph, Quantization, Shape, Tensor
from mcukit.ops.activation import RELU, RELU6, RELU_N1_TO_1, UNBOUNDED, Clamp
from mcukit.ops.operator import Operator
from mcukit.tflite import schema
from mcukit.tflite.enums import ActivationFunctionType, BuiltinOperator, TensorType
from mcukit.tflite.options import MaximumMinimumOptions, Options
from mcukit.tflite.versions import int8_code

_ACTIVATIONS = {
    UNBOUNDED: ActivationFunctionType.NONE,
    RELU: ActivationFunctionType.RELU,
    RELU6: ActivationFunctionType.RELU6,
    RELU_N1_TO_1: ActivationFunctionType.RELU_N1_TO_1,
}

_TYPES = {2: TensorType.INT8, 4: TensorType.INT8, 8: TensorType.INT8, 32: TensorType.INT32}


class TfliteBuilder:
    """Collects tensors and operators; the operators' `to_tflite` call it. All methods give tensor indices."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        """names: what the graph calls its tensors; tensors that only the file has get other names."""
        self._taken = set(names)
        self._tensors: list[schema.Tensor] = []
        self._indices: dict[str, int] = {}
        # Buffer 0 is the empty one that tensors without data refer to.
        self._buffers: list[schema.Buffer] = [schema.Buffer()]
        self._operators: list[schema.Operator] = []
        self._constants: dict[Hashable, int] = {}

    def tensor(self, tensor: Tensor) -> int:
        """A tensor of the graph, added when first asked for."""
        if tensor.name not in self._indices:
            if tensor.quantization is None:
                raise ValueError(f"'{tensor.name}' is not quantized")
            index = self._append(tensor.name, tensor.shape, tensor.quantization, tensor.data)
            self._indices[tensor.name] = index
        return self._indices[tensor.name]

    def temporary(self, name: str, shape: Shape, quantization: Quantization | None) -> int:
        """A map that only the file has, between two operators that the graph has as one."""
        return self._append(self.own_name(name), shape, quantization, None)

    def constant_int32(self, array: npt.NDArray[np.int32]) -> int:
        """Shapes, axes and paddings; equal ones are one tensor."""
        key = array.shape, array.tobytes()
        if key not in self._constants:
            buffer = self._buffer(np.ascontiguousarray(array, np.int32))
            name = self._constant_name()
            self._tensors.append(schema.Tensor(name=name, shape=array.shape, type=TensorType.INT32, buffer=buffer))
            self._constants[key] = len(self._tensors) - 1
        return self._constants[key]

    def constant_int8(self, array: npt.NDArray[np.int8], shape: Shape, quantization: Quantization) -> int:
        """Bytes that only the file has; equal ones are one tensor."""
        key = shape, array.tobytes(), quantization.scale.tobytes(), quantization.zero_point
        if key not in self._constants:
            self._constants[key] = self._append(self._constant_name(), shape, quantization, array)
        return self._constants[key]

    def constant_bias(self, value: int, quantization: Quantization) -> int:
        """The bias of a layer with one output that only the file has."""
        data = np.array([value], np.int32)
        return self._append(self._constant_name(), (1,), quantization, data)

    def own_name(self, name: str) -> str:
        """`name`, or if a tensor is called that already one like it; from now on it is taken."""
        while name in self._taken:
            name += "_"
        self._taken.add(name)
        return name

    def activation(self, clamp: Clamp) -> ActivationFunctionType:
        """What a fused clamp is called in TFLite."""
        if clamp not in _ACTIVATIONS:
            raise ValueError(f"TFLite can't fuse {clamp}")
        return _ACTIVATIONS[clamp]

    def operator(
        self, builtin: BuiltinOperator, options: Options | None, inputs: Sequence[int], outputs: Sequence[int]
    ) -> None:
        """One operator, in the order in which it runs."""
        per_channel = builtin == BuiltinOperator.FULLY_CONNECTED and self._is_per_channel(inputs[1])
        code = int8_code(builtin, per_channel_fully_connected=per_channel)
        self._operators.append(schema.Operator(code, tuple(inputs), tuple(outputs), options))

    def model(self, inputs: Sequence[int], outputs: Sequence[int], name: str) -> schema.Model:
        subgraph = schema.SubGraph(
            tensors=tuple(self._tensors),
            inputs=tuple(inputs),
            outputs=tuple(outputs),
            operators=tuple(self._operators),
            name=name,
        )
        return schema.Model(
            subgraphs=(subgraph,), buffers=tuple(self._buffers), description=f"mcukit {mcukit.__version__}"
        )

    def _constant_name(self) -> str:
        return self.own_name(f"constant{len(self._tensors)}")

    def _is_per_channel(self, index: int) -> bool:
        quantization = self._tensors[index].quantization
        return quantization is not None and quantization.is_per_channel

    def _append(
        self, name: str, shape: Shape, quantization: Quantization | None, data: npt.NDArray[np.generic] | None
    ) -> int:
        buffer = 0 if data is None else self._buffer(np.ascontiguousarray(data))
        parameters = None if quantization is None else _parameters(quantization)
        kind = TensorType.INT8 if quantization is None else _TYPES[quantization.bits]
        self._tensors.append(
            schema.Tensor(name=name, shape=tuple(shape), type=kind, buffer=buffer, quantization=parameters)
        )
        return len(self._tensors) - 1

    def _buffer(self, data: npt.NDArray[Any]) -> int:
        self._buffers.append(schema.Buffer(data.astype(data.dtype.newbyteorder("<")).tobytes()))
        return len(self._buffers) - 1


def _parameters(quantization: Quantization) -> schema.QuantizationParameters:
    return schema.QuantizationParameters(
        scale=tuple(quantization.scale.tolist()),
        zero_point=(quantization.zero_point,) * quantization.scale.size,
        quantized_dimension=quantization.axis or 0,
    )


def add_operator(builder: TfliteBuilder, operator: Operator, inputs: Sequence[Tensor], output: Tensor) -> None:
    """The TFLite operators of one of ours. Maps of fewer than 8 bits are int8 tensors with values of their range only.

    TFLite's operators saturate at int8: MINIMUM and MAXIMUM go on where they stop. Operators that move bytes and
    pools don't leave the range of their inputs.
    """
    quantization = output.quantization
    if quantization is None:
        raise ValueError(f"'{output.name}' is not quantized")
    if quantization.bits == 8 or operator.ties_quantization:
        operator.to_tflite(builder, inputs, output)
        return
    wide = replace(quantization, bits=8)
    raw = replace(output, name=builder.own_name(f"{output.name}/int8"), quantization=wide)
    operator.to_tflite(builder, inputs, raw)
    upper = builder.temporary(f"{output.name}/below", output.shape, wide)
    for builtin, limit, source, target in (
        (BuiltinOperator.MINIMUM, quantization.maximum, builder.tensor(raw), upper),
        (BuiltinOperator.MAXIMUM, quantization.minimum, upper, builder.tensor(output)),
    ):
        constant = builder.constant_int8(np.array([limit], np.int8), (1,), wide)
        builder.operator(builtin, MaximumMinimumOptions(), [source, constant], [target])


def build_tflite(graph: Graph) -> schema.Model:
    """The file's content; `mcukit.tflite.writer.write_tflite` makes bytes of it."""
    builder = TfliteBuilder(graph.tensors)
    inputs = [builder.tensor(graph.tensors[name]) for name in graph.inputs]
    for node in graph.nodes:
        add_operator(builder, node.operator, graph.node_inputs(node), graph.tensors[node.output])
    outputs = [builder.tensor(graph.tensors[name]) for name in graph.outputs]
    return builder.model(inputs, outputs, graph.name)
