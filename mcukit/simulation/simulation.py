# SPDX-License-Identifier: Apache-2.0
"""A quantized network in float, fast enough to ask hundreds of times what another precision would do to the outputs.

Weights and biases are what the integers stand for, and every map is rounded to its grid. The integer reference rounds
its factors too, so that a map of the simulation may differ from it by a step; which bytes come out is for the
reference to say.

Every layer is an onnxruntime session of its own, so that a change runs only the layers behind it again.
"""

from __future__ import annotations

__all__ = ["UNCHANGED", "Change", "Simulation"]

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import helper

from mcukit.calibration.float_model import IR_VERSION, OPSET, FloatModelBuilder, from_nhwc, open_session, to_nhwc
from mcukit.graph.graph import Graph, Node, Quantization, Tensor
from mcukit.simulation.output_error import before_softmax

FloatArray = npt.NDArray[np.float32]
Outputs = tuple[FloatArray, ...]

CHUNK_ELEMENTS = 1 << 25
MOST_IMAGES = 64
"""So many images at once that all maps of them stay near CHUNK_ELEMENTS values, and at most this many."""


@dataclass(frozen=True, eq=False)
class Change:
    """What is different from the graph that is simulated.

    maps: grids by the map's name, with one scale or one for each channel; None leaves a map unrounded. Maps that share
    a quantization are named one by one.
    weights: weights and bias by the node's name, integers with a quantization or float32 without.
    """

    maps: Mapping[str, Quantization | None] = field(default_factory=dict)
    weights: Mapping[str, tuple[Tensor, Tensor]] = field(default_factory=dict)


UNCHANGED = Change()


class Simulation:
    """Runs a Graph in float with its maps rounded.

    graph: maps without a quantization are not rounded, constants without one are taken as they are. So a float graph
    can be simulated too, and a change of it tells what one rounding does on its own.
    threads: how many groups of images run side by side, 0 for one per core; results don't depend on it.
    outputs: names of the maps that `run` gives: the network's outputs, without the softmax behind them.
    """

    def __init__(self, graph: Graph, threads: int = 0) -> None:
        self.graph = graph
        self.outputs = tuple(dict.fromkeys(before_softmax(graph, name) for name in graph.outputs))
        self._threads = threads or os.cpu_count() or 1
        self._nodes = _leading_to(graph, self.outputs)
        self._layers = {node.name: _FloatLayer(graph, node) for node in self._nodes}
        self._grid = _Grid()
        elements = sum(tensor.elements for tensor in graph.maps())
        self._chunk = min(max(1, CHUNK_ELEMENTS // elements), MOST_IMAGES)

    def run(self, images: FloatArray, change: Change = UNCHANGED) -> Outputs:
        """The outputs for N images (N, height, width, channels), as the network takes them; channels last."""
        return self.run_each(images, (change,))[0]

    def run_each(
        self, images: FloatArray, changes: Sequence[Change], progress: Callable[[int, int], None] | None = None
    ) -> list[Outputs]:
        """The outputs under each of several changes, one at a time.

        Layers that a change doesn't reach run only once for all changes together. progress: called with (images done,
        images in all).
        """
        variants = [self._variant(change) for change in changes]
        starts = range(0, len(images), self._chunk)
        chunks = (images[start : start + self._chunk] for start in starts)
        results: list[list[Outputs]] = []
        with ThreadPoolExecutor(self._threads) as pool:
            for result in pool.map(lambda chunk: self._run_chunk(chunk, variants), chunks):
                results.append(result)
                if progress:
                    progress(min(len(results) * self._chunk, len(images)), len(images))
        return [
            tuple(np.concatenate([chunk[index][output] for chunk in results]) for output in range(len(self.outputs)))
            for index in range(len(changes))
        ]

    def _variant(self, change: Change) -> _Variant:
        """What a change makes run again, with sessions for its weights."""
        unknown = [name for name in change.maps if name not in self.graph.tensors]
        unknown += [name for name in change.weights if all(node.name != name for node in self.graph.nodes)]
        if unknown:
            raise ValueError(f"the network has no {', '.join(map(repr, unknown))}")
        dirty = {name for name in self.graph.inputs if name in change.maps}
        nodes = []
        for node in self._nodes:
            if node.output in change.maps or node.name in change.weights or not dirty.isdisjoint(node.inputs):
                dirty.add(node.output)
                nodes.append(node)
        layers = {
            name: _FloatLayer(self.graph, node, change.weights[name])
            for name, node in ((node.name, node) for node in nodes)
            if name in change.weights
        }
        grids = {tensor.name: tensor.quantization for tensor in self.graph.maps()} | dict(change.maps)
        return _Variant(tuple(nodes), self._layers | layers, grids)

    def _run_chunk(self, images: FloatArray, variants: Sequence[_Variant]) -> list[Outputs]:
        fed = from_nhwc(self.graph.tensors[self.graph.inputs[0]], images)
        raw = onnxruntime.OrtValue.ortvalue_from_numpy(fed)
        whole = _Variant(self._nodes, self._layers, {t.name: t.quantization for t in self.graph.maps()})
        # Maps that every variant computes anew need not be there before.
        needed = [node for node in self._nodes if any(node not in variant.nodes for variant in variants)]
        base = self._evaluate(replace(whole, nodes=tuple(needed)), raw, {}, keep=True)
        results = []
        for variant in variants:
            maps = {**base, **self._evaluate(variant, raw, base, keep=False)}
            results.append(tuple(to_nhwc(maps[name].numpy()) for name in self.outputs))
        return results

    def _evaluate(
        self,
        variant: _Variant,
        raw: onnxruntime.OrtValue,
        base: Mapping[str, onnxruntime.OrtValue],
        *,
        keep: bool,
    ) -> dict[str, onnxruntime.OrtValue]:
        """Maps that the nodes of a variant compute, those of the outputs or, with `keep`, all; others are in `base`."""
        source = self.graph.inputs[0]
        maps = {source: self._grid.rounded(raw, variant.grids[source])}
        last_use = {name: node.name for node in variant.nodes for name in node.inputs}
        for node in variant.nodes:
            operands = [maps[name] if name in maps else base[name] for name in self.graph.map_inputs(node)]
            value = variant.layers[node.name].run(operands)
            maps[node.output] = self._grid.rounded(value, variant.grids[node.output])
            if not keep:
                for name in node.inputs:
                    if last_use[name] == node.name and name not in self.outputs:
                        maps.pop(name, None)
        return maps


@dataclass(frozen=True, eq=False)
class _Variant:
    """The nodes that run, the layers of all nodes, and the grids of all maps."""

    nodes: tuple[Node, ...]
    layers: Mapping[str, _FloatLayer]
    grids: Mapping[str, Quantization | None]


class _FloatLayer:
    """One node as an onnxruntime session, on one core: chunks of images run side by side."""

    def __init__(self, graph: Graph, node: Node, filters: tuple[Tensor, Tensor] | None = None) -> None:
        maps = tuple(dict.fromkeys(graph.map_inputs(node)))
        tensors = {name: _in_float(graph.tensors[name]) for name in (*node.inputs, node.output)}
        if filters:
            tensors |= {
                name: replace(_in_float(tensor), name=name)
                for name, tensor in zip(node.inputs[1:], filters, strict=True)
            }
        builder = FloatModelBuilder(Graph(node.name, tensors, (node,), maps, (node.output,)))
        self._session = open_session(builder.model(), threads=1)
        self._inputs = [builder.value(tensors[name]) for name in graph.map_inputs(node)]
        self._output = builder.value(tensors[node.output])

    def run(self, operands: Sequence[onnxruntime.OrtValue]) -> onnxruntime.OrtValue:
        feeds = dict(zip(self._inputs, operands, strict=True))
        return self._session.run_with_ort_values([self._output], feeds)[0]


class _Grid:
    """Rounds and clips maps; ties to even, where the integer arithmetic has other rules for each operator."""

    def __init__(self) -> None:
        nodes = [
            helper.make_node("QuantizeLinear", ["map", "scale", "zero_point"], ["integers"]),
            helper.make_node("Clip", ["integers", "minimum", "maximum"], ["clipped"]),
            helper.make_node("DequantizeLinear", ["clipped", "scale", "zero_point"], ["rounded"]),
        ]
        inputs = [
            helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
            for name, shape in (("map", None), ("scale", ["channels"]))
        ]
        inputs += [
            helper.make_tensor_value_info(name, onnx.TensorProto.INT8, shape)
            for name, shape in (("zero_point", ["channels"]), ("minimum", []), ("maximum", []))
        ]
        outputs = [helper.make_tensor_value_info("rounded", onnx.TensorProto.FLOAT, None)]
        model = helper.make_model(
            helper.make_graph(nodes, "grid", inputs, outputs),
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
        )
        self._session = open_session(model, threads=1)

    def rounded(self, value: onnxruntime.OrtValue, grid: Quantization | None) -> onnxruntime.OrtValue:
        if grid is None:
            return value
        # One scale for all channels, or one for each.
        channels = value.shape()[1]
        feeds = {
            name: np.array(number, np.int8) for name, number in (("minimum", grid.minimum), ("maximum", grid.maximum))
        }
        feeds["scale"] = np.broadcast_to(grid.scale, channels).astype(np.float32)
        feeds["zero_point"] = np.full(channels, grid.zero_point, np.int8)
        values = {name: onnxruntime.OrtValue.ortvalue_from_numpy(array) for name, array in feeds.items()}
        return self._session.run_with_ort_values(["rounded"], {"map": value, **values})[0]


def _in_float(tensor: Tensor) -> Tensor:
    """A constant as the real values that it stands for; a map without its quantization."""
    if tensor.data is None or tensor.quantization is None:
        return replace(tensor, quantization=None)
    integers = np.asarray(tensor.data, np.int64)
    return replace(tensor, data=tensor.quantization.dequantize(integers), quantization=None)


def _leading_to(graph: Graph, outputs: Sequence[str]) -> tuple[Node, ...]:
    """The nodes on which the outputs depend, in order."""
    wanted = set(outputs)
    found = []
    for node in reversed(graph.nodes):
        if node.output in wanted:
            wanted.update(node.inputs)
            found.append(node)
    return tuple(reversed(found))
