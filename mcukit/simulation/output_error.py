# SPDX-License-Identifier: Apache-2.0
"""What an integer model does to the network's output, against float."""

from __future__ import annotations

__all__ = ["OutputError", "before_softmax", "judging_images", "measure_output_error"]

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mcukit.calibration.float_model import FloatModel
from mcukit.emulation.reference import run_reference
from mcukit.graph.graph import Graph
from mcukit.quantized.integer import IntegerModel

FloatArray = npt.NDArray[np.float32]
Float64Array = npt.NDArray[np.float64]

JUDGING_MACS = 12_000_000_000
"""Multiplications that one measurement may take: the number of images follows from it, never from a clock."""

FEWEST_IMAGES, MOST_IMAGES = 8, 64

BATCH = 8


@dataclass(frozen=True, eq=False)
class OutputError:
    """typical: the median over images of the mean squared error, relative to the outputs' variance, all outputs' mean.

    The median, because a few images with extreme outputs, which no error can turn into another class, would outweigh
    all others in a mean.
    shift: for every output (in front of its softmax, if it has one) the mean error of each channel, in real units.
    """

    typical: float
    shift: Mapping[str, Float64Array]


def judging_images(graph: Graph, inputs: FloatArray) -> FloatArray:
    """Some of the calibration images, evenly spaced; as many as time allows."""
    macs = sum(node.operator.macs(graph.node_inputs(node), graph.tensors[node.output]) for node in graph.nodes)
    count = min(max(FEWEST_IMAGES, min(MOST_IMAGES, JUDGING_MACS // max(macs, 1))), len(inputs))
    return inputs[np.linspace(0, len(inputs) - 1, count).astype(np.int64)]


def measure_output_error(
    model: FloatModel, integer: IntegerModel, images: FloatArray, progress: Callable[[int], None] | None = None
) -> OutputError:
    """Runs both over `images` (N, height, width, channels), as the network takes them.

    integer: made from the graph of `model`. A softmax at the end is left out, because it hides what happens to all
    but the largest values. progress: called with the number of images done.
    """
    names = tuple(dict.fromkeys(before_softmax(model.graph, name) for name in model.graph.outputs))
    real: dict[str, list[FloatArray]] = {name: [] for name in names}
    found: dict[str, list[FloatArray]] = {name: [] for name in names}
    for start in range(0, len(images), BATCH):
        chunk = images[start : start + BATCH]
        maps = model.run_nhwc(chunk)
        for name, values in _dequantized(integer, chunk, names).items():
            found[name].append(values.reshape(maps[name].shape))
            real[name].append(maps[name])
        if progress:
            progress(min(start + BATCH, len(images)))
    typical, shift = [], {}
    for name in names:
        expected = np.concatenate(real[name]).astype(np.float64)
        error = np.concatenate(found[name]) - expected
        variance = float(expected.reshape(len(images), -1).var(axis=1).mean())
        per_image = np.square(error).reshape(len(images), -1).mean(axis=1)
        typical.append(float(np.median(per_image)) / (variance or 1.0))
        shift[name] = _significant_mean(error.reshape(len(images), -1, error.shape[-1]).mean(axis=1))
    return OutputError(float(np.mean(typical)), shift)


def _significant_mean(samples: Float64Array) -> Float64Array:
    """Mean per channel of (images, channels), shrunken by what of its square chance alone explains."""
    mean = samples.mean(axis=0)
    chance = samples.var(axis=0) / max(len(samples) - 1, 1)
    square = np.square(mean)
    kept: Float64Array = mean * np.maximum(1.0 - chance / np.where(square > 0.0, square, 1.0), 0.0)
    return kept


def _dequantized(model: IntegerModel, images: FloatArray, names: tuple[str, ...]) -> dict[str, FloatArray]:
    """Real values of maps of the integer model."""
    source = model.input.quantization
    if source is None:
        raise ValueError("the input is not quantized")
    maps = run_reference(model, source.quantize(images), keep_maps=True).maps
    values = {}
    for name in names:
        quantization = model.graph.tensors[name].quantization
        if quantization is None:
            raise ValueError(f"'{name}' is not quantized")
        values[name] = quantization.dequantize(maps[name])
    return values


def before_softmax(graph: Graph, name: str) -> str:
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
