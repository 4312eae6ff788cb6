# SPDX-License-Identifier: Apache-2.0
"""The float network, run by onnxruntime with every feature map in sight.

The Graph is written as an ONNX model of its own, so that what is calibrated is what will be quantized: after all
passes, whatever file it came from.
"""

from __future__ import annotations

__all__ = ["FloatModel", "FloatModelBuilder", "from_nhwc", "open_session", "to_nhwc"]

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import helper, numpy_helper

from mcukit.errors import McukitError
from mcukit.graph.graph import Graph, Tensor
from mcukit.ops.activation import Clamp

FloatArray = npt.NDArray[np.float32]

OPSET = 17
IR_VERSION = 8


class FloatModelBuilder:
    """Collects ONNX nodes; the operators' `to_onnx` call it. Maps of rank 4 are NCHW and the batch is symbolic."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._values: dict[str, str] = {}
        self._constants: list[onnx.TensorProto] = []
        self._nodes: list[onnx.NodeProto] = []
        self._fresh = 0
        for tensor in graph.maps():
            self._values[tensor.name] = f"map{len(self._values)}"

    def value(self, tensor: Tensor) -> str:
        """Name of a map's value, or of an initializer for a constant (rank 4 constants as NCHW)."""
        if tensor.data is None:
            return self._values[tensor.name]
        data = np.asarray(tensor.data, np.float32)
        return self.constant(data.transpose(0, 3, 1, 2) if data.ndim == 4 else data)

    def temporary(self) -> str:
        """A value name that nothing else has."""
        self._fresh += 1
        return f"value{self._fresh}"

    def constant(self, array: npt.NDArray[np.generic]) -> str:
        """Name of an initializer that holds `array` as it is; float64 becomes float32."""
        if array.dtype == np.float64:
            array = array.astype(np.float32)
        name = f"constant{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def add(self, op_type: str, inputs: Sequence[str], outputs: Sequence[str], **attributes: Any) -> None:
        self._nodes.append(helper.make_node(op_type, list(inputs), list(outputs), **attributes))

    def clamped(self, op_type: str, inputs: Sequence[str], output: Tensor, clamp: Clamp, **attributes: Any) -> None:
        """One operator, followed by Clip where `clamp` limits anything."""
        target = self.value(output)
        if clamp.is_unbounded:
            self.add(op_type, inputs, [target], **attributes)
            return
        raw = self.temporary()
        self.add(op_type, inputs, [raw], **attributes)
        limits = [
            "" if np.isinf(limit) else self.constant(np.array(limit, np.float32))
            for limit in (clamp.minimum, clamp.maximum)
        ]
        self.add("Clip", [raw, *limits], [target])

    def model(self) -> onnx.ModelProto:
        """The whole network; every map is an output."""
        for node in self._graph.nodes:
            node.operator.to_onnx(self, self._graph.node_inputs(node), self._graph.tensors[node.output])
        sources = [self._graph.tensors[name] for name in self._graph.inputs]
        inputs = [
            helper.make_tensor_value_info(self.value(source), onnx.TensorProto.FLOAT, _onnx_shape(source))
            for source in sources
        ]
        outputs = [
            helper.make_tensor_value_info(self.value(self._graph.tensors[node.output]), onnx.TensorProto.FLOAT, None)
            for node in self._graph.nodes
        ]
        graph = helper.make_graph(self._nodes, "float", inputs, outputs, self._constants)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)


def _onnx_shape(tensor: Tensor) -> list[int | str]:
    shape = tensor.shape
    inner = [shape[3], shape[1], shape[2]] if len(shape) == 4 else list(shape[1:])
    return ["batch", *inner]


def to_nhwc(values: npt.NDArray[np.generic]) -> FloatArray:
    """A batch of one map in onnxruntime's layout, channels last; vectors stay as they are."""
    array = np.asarray(values, np.float32)
    return np.ascontiguousarray(array.transpose(0, 2, 3, 1)) if array.ndim == 4 else array


def from_nhwc(tensor: Tensor, values: npt.NDArray[np.generic]) -> FloatArray:
    """A batch of one map, channels last, in onnxruntime's layout. A vector may come as a map of one pixel."""
    if values.ndim == 4:
        values = values.transpose(0, 3, 1, 2) if len(tensor.shape) == 4 else values.reshape(len(values), -1)
    return np.ascontiguousarray(values, np.float32)


def open_session(model: onnx.ModelProto, threads: int = 0) -> onnxruntime.InferenceSession:
    """onnxruntime on the CPU; threads: how many cores it may use, 0 leaves it to onnxruntime.

    Raises McukitError "float-run-failed" if onnxruntime refuses the model.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads
    try:
        return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has no exception type of its own that all failures share
        raise McukitError("float-run-failed", f"onnxruntime refuses the network: {error}") from error


class FloatModel:
    """An onnxruntime session over all maps of a float Graph.

    threads: how many cores onnxruntime may use; 0 leaves it to onnxruntime.
    """

    def __init__(self, graph: Graph, threads: int = 0) -> None:
        self.graph = graph
        builder = FloatModelBuilder(graph)
        self._session = open_session(builder.model(), threads)
        self._input = builder.value(graph.tensors[graph.inputs[0]])
        self._values = {tensor.name: builder.value(tensor) for tensor in graph.maps()}

    def run(self, inputs: FloatArray) -> dict[str, FloatArray]:
        """Every map for a batch of inputs (N, height, width, channels), each in onnxruntime's own layout (NCHW)."""
        fed = from_nhwc(self.graph.tensors[self.graph.inputs[0]], inputs)
        names = [node.output for node in self.graph.nodes]
        values = self._session.run([self._values[name] for name in names], {self._input: fed})
        maps = dict(zip(names, values, strict=True))
        maps[self.graph.inputs[0]] = fed
        return maps

    def run_nhwc(self, inputs: FloatArray) -> dict[str, FloatArray]:
        """Every map for a batch of inputs, NHWC."""
        return {name: to_nhwc(values) for name, values in self.run(inputs).items()}

    def outputs(self, inputs: FloatArray) -> tuple[FloatArray, ...]:
        """The network's outputs for a batch of inputs, NHWC."""
        fed = from_nhwc(self.graph.tensors[self.graph.inputs[0]], inputs)
        wanted = [self._values[name] for name in self.graph.outputs]
        results = self._session.run(wanted, {self._input: fed})
        return tuple(to_nhwc(values) for values in results)
