# SPDX-License-Identifier: Apache-2.0
"""Ranges chosen by what they do to the network's output.

A map's own error is a poor guide to its range: what is clipped may be all that a later layer looks at, or nothing that
it cares about. So each map is quantized alone, all else in float, under every candidate range, and the range under
which the output changes least is taken. Errors this small add up over the maps, so that maps need no joint search.
"""

from __future__ import annotations

__all__ = ["search_ranges"]

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import helper

from mcukit.calibration.float_model import FloatModel, FloatModelBuilder
from mcukit.calibration.ranges import MAP_RANGE_METHODS, Range, choose_range, quantization_of
from mcukit.calibration.statistics import MapStatistics
from mcukit.graph.graph import Graph, Node

FloatArray = npt.NDArray[np.float32]

SEARCH_MACS = 300_000_000_000
"""Multiplications that a search may take: the number of images follows from it, never from a clock."""

SEARCH_ELEMENTS = 1 << 27
"""Values of float maps that are kept meanwhile, 4 bytes each."""

FEWEST_IMAGES, MOST_IMAGES = 4, 32

FRACTIONS = (0.9, 0.8, 0.7, 0.6)
"""Parts of the smallest and largest value seen that are candidates beside those of MAP_RANGE_METHODS."""


def search_ranges(
    model: FloatModel,
    statistics: Mapping[str, MapStatistics],
    inputs: FloatArray,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Range]:
    """The range of every map, by name, with the least squared error at the network's outputs.

    inputs: calibration images (N, height, width, channels), of which evenly spaced ones are used. A softmax at the end
    is left out, for its rounding would hide errors. Maps that follow from others' bytes, as a maximum does, and the
    network's inputs have the range of their own values.
    """
    graph = model.graph
    ranges = {name: choose_range(statistics[name], "min-max") for name in statistics}
    searched = [node for node in graph.nodes if _has_own_range(graph, node)]
    targets = tuple(dict.fromkeys(_before_softmax(graph, name) for name in graph.outputs))
    suffixes = [_suffix(graph, node.output, targets) for node in searched]
    images = inputs[:: max(1, len(inputs) // _image_count(graph, suffixes))][: _image_count(graph, suffixes)]
    maps = _float_maps(model, images)
    for done, (node, suffix) in enumerate(zip(searched, suffixes, strict=True)):
        name = node.output
        candidates = _candidates(statistics[name], node)
        if suffix is not None and len(candidates) > 1:
            run = _SuffixRun(suffix, targets, maps)
            errors = [run.error(name, candidate) for candidate in candidates]
            ranges[name] = candidates[int(np.argmin(errors))]
        if progress:
            progress(done + 1, len(searched))
    return ranges


def _has_own_range(graph: Graph, node: Node) -> bool:
    return not node.operator.ties_quantization and node.operator.fixed_output(graph.node_inputs(node)) is None


def _before_softmax(graph: Graph, name: str) -> str:
    """The map whose softmax `name` is, else `name` itself; a change of shape between them changes nothing."""
    producers = graph.producers()
    source = name
    while source in producers:
        node = producers[source]
        if node.operator.op_name == "softmax":
            return node.inputs[0]
        if node.operator.op_name != "reshape":
            break
        source = node.inputs[0]
    return name


def _suffix(graph: Graph, start: str, targets: Sequence[str]) -> Graph | None:
    """What has to be computed anew when map `start` changes; None where no target depends on it.

    The first input is `start`, the others are maps that don't change.
    """
    changed = {start}
    nodes = []
    for node in graph.nodes:
        if changed.intersection(node.inputs):
            changed.add(node.output)
            nodes.append(node)
    reached = tuple(name for name in targets if name in changed)
    if not reached:
        return None
    needed = set(reached)
    kept: list[Node] = []
    for node in reversed(nodes):
        if node.output in needed:
            needed.update(node.inputs)
            kept.append(node)
    read = dict.fromkeys(name for node in kept for name in graph.map_inputs(node) if name not in changed)
    tensors = {name: graph.tensors[name] for name in needed | {start}}
    return Graph(graph.name, tensors, tuple(reversed(kept)), (start, *read), reached)


def _image_count(graph: Graph, suffixes: Sequence[Graph | None]) -> int:
    """As many images as time and memory allow."""
    candidates = len(MAP_RANGE_METHODS) + len(FRACTIONS)
    macs = candidates * sum(_macs(suffix) for suffix in suffixes if suffix is not None)
    elements = sum(tensor.elements for tensor in graph.maps())
    affordable = min(SEARCH_MACS // max(macs, 1), SEARCH_ELEMENTS // max(elements, 1))
    return max(FEWEST_IMAGES, min(MOST_IMAGES, affordable))


def _macs(graph: Graph) -> int:
    return sum(node.operator.macs(graph.node_inputs(node), graph.tensors[node.output]) for node in graph.nodes)


def _float_maps(model: FloatModel, images: FloatArray) -> dict[str, FloatArray]:
    """Every map over the images, as onnxruntime has it."""
    parts: dict[str, list[FloatArray]] = {}
    for start in range(0, len(images), FEWEST_IMAGES):
        for name, values in model.run(images[start : start + FEWEST_IMAGES]).items():
            parts.setdefault(name, []).append(values)
    return {name: np.concatenate(parts.pop(name)) for name in list(parts)}


def _candidates(statistics: MapStatistics, node: Node) -> list[Range]:
    """Ranges to try, each once, the widest first."""
    limits = node.operator.output_limits()
    whole = choose_range(statistics, "min-max")
    ranges = [choose_range(statistics, method) for method in MAP_RANGE_METHODS]
    ranges += [Range(whole.minimum * part, whole.maximum * part) for part in FRACTIONS]
    distinct = {candidate.clipped(*limits): None for candidate in ranges}
    return sorted(distinct, key=lambda candidate: candidate.minimum - candidate.maximum)


@dataclass(frozen=True, eq=False)
class _Batch:
    """Inputs of a suffix for some images, and what its outputs are in float."""

    feeds: dict[str, FloatArray]
    expected: list[FloatArray]


class _SuffixRun:
    """A session over a suffix that takes a quantized map in place of the float one."""

    def __init__(self, suffix: Graph, targets: Sequence[str], maps: Mapping[str, FloatArray]) -> None:
        builder = FloatModelBuilder(suffix)
        model = builder.model()
        values = {tensor.name: builder.value(tensor) for tensor in suffix.maps()}
        del model.graph.input[:]
        del model.graph.output[:]
        names = [name for name in suffix.inputs if suffix.nodes or name in targets]
        model.graph.input.extend(_value_info(values[name], maps[name].ndim) for name in names)
        model.graph.output.extend(_value_info(values[name], maps[name].ndim) for name in suffix.outputs)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        self._values, self._suffix, self._maps = values, suffix, maps

    def error(self, name: str, candidate: Range) -> float:
        """Mean squared change of the outputs when map `name` is quantized to the candidate range."""
        quantization = quantization_of(candidate)
        total = 0.0
        for batch in self._batches():
            source = self._values[name]
            rounded = quantization.dequantize(quantization.quantize(batch.feeds[source]))
            found = self._session.run(None, {**batch.feeds, source: rounded})
            total += sum(_squared_error(a, b) for a, b in zip(found, batch.expected, strict=True))
        return total

    def _batches(self) -> Iterator[_Batch]:
        images = len(next(iter(self._maps.values())))
        for start in range(0, images, FEWEST_IMAGES):
            part = slice(start, start + FEWEST_IMAGES)
            feeds = {self._values[name]: self._maps[name][part] for name in self._suffix.inputs}
            yield _Batch(feeds, [self._maps[name][part] for name in self._suffix.outputs])


def _squared_error(found: FloatArray, expected: FloatArray) -> float:
    return float(np.square(found.astype(np.float64) - expected).sum())


def _value_info(name: str, rank: int) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [None] * rank)
