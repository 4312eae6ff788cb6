# SPDX-License-Identifier: Apache-2.0
"""The integer reference in NumPy: what every other executor is compared with."""

from __future__ import annotations

__all__ = ["BATCH_ELEMENTS", "ReferenceRun", "checked_inputs", "run_reference"]

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from mcukit.emulation.branches import run_branches
from mcukit.errors import McukitError
from mcukit.graph.graph import Tensor, map_shape
from mcukit.quantized.integer import IntegerModel

Int8Array = npt.NDArray[np.int8]
BoolArray = npt.NDArray[np.bool_]

BATCH_ELEMENTS = 1 << 22
"""The batch is chosen so that the largest map of it has about this many values: im2col multiplies that by the taps."""


@dataclass(frozen=True, eq=False)
class ReferenceRun:
    """outputs: one (N, height, width, channels) array per output. maps: every map by name, if they were asked for.

    computed: where each of `maps` was computed, (N, height, width), if not everywhere: a plan may leave out what nobody
    reads, and tiles of two precisions have maps of two kinds.
    """

    outputs: tuple[Int8Array, ...]
    maps: dict[str, Int8Array]
    computed: dict[str, npt.NDArray[np.bool_]] = field(default_factory=dict)


def run_reference(
    model: IntegerModel,
    inputs: Int8Array,
    *,
    keep_maps: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> ReferenceRun:
    """Runs N inputs of the model's input shape (N, ...), int8."""
    inputs = checked_inputs(model, inputs)
    kept: dict[str, list[Int8Array]] = {}
    masks: dict[str, list[BoolArray]] = {}
    wanted = [tensor.name for tensor in model.graph.maps()] if keep_maps else [t.name for t in model.outputs]
    if keep_maps and model.branches:
        wanted += [layer.output for layer in model.branches.layers]
    batch = max(1, BATCH_ELEMENTS // max(tensor.elements for tensor in model.graph.maps()))
    for start in range(0, len(inputs), batch):
        for name, values, computed in _evaluate(model, inputs[start : start + batch], set(wanted)):
            kept.setdefault(name, []).append(values)
            if computed is not None:
                masks.setdefault(name, []).append(computed)
        if progress:
            progress(min(start + batch, len(inputs)), len(inputs))
    maps = {name: np.concatenate(parts) for name, parts in kept.items()}
    outputs = tuple(maps[tensor.name] for tensor in model.outputs)
    where = {name: np.concatenate(parts) for name, parts in masks.items()}
    return ReferenceRun(outputs, maps if keep_maps else {}, where if keep_maps else {})


def checked_inputs(model: IntegerModel, inputs: Int8Array) -> Int8Array:
    """Inputs as (N, height, width, channels). Raises McukitError "wrong-input" if they don't fit the model."""
    shape = map_shape(model.input.shape)
    if inputs.dtype != np.int8 or not inputs.size or inputs.size != len(inputs) * model.input.elements:
        raise McukitError(
            "wrong-input",
            f"inputs of type {inputs.dtype} and shape {inputs.shape} given, int8 of shape (N, {shape}) wanted",
        )
    return inputs.reshape(-1, *shape)


def _evaluate(
    model: IntegerModel, inputs: Int8Array, wanted: set[str]
) -> Iterator[tuple[str, Int8Array, BoolArray | None]]:
    """The wanted maps of one batch, each with where it was computed unless that is everywhere.

    Each is forgotten after its last reader.
    """
    last_use = {name: index for index, layer in enumerate(model.layers) for name in layer.inputs}
    maps = {model.input.name: inputs}
    if model.input.name in wanted:
        yield model.input.name, inputs, None
    tiled = 0
    if model.branches:
        tiled = len(model.branches.layers)
        branches = run_branches(model, inputs)
        maps |= branches.maps
        yield from (
            (name, branches.maps[name], branches.computed[name]) for name in branches.computed if name in wanted
        )
    for index, layer in enumerate(model.layers[tiled:], start=tiled):
        result = layer.operator.evaluate([maps[name] for name in layer.inputs])
        expected = _shape_of(model.graph.tensors[layer.output], len(inputs))
        if result.shape != expected or result.dtype != np.int8:
            raise AssertionError(f"'{layer.name}' computed {result.dtype} {result.shape}, its shape is {expected}")
        maps[layer.output] = result
        if layer.output in wanted:
            yield layer.output, result, None
        for name in layer.inputs:
            if last_use[name] == index:
                maps.pop(name, None)


def _shape_of(tensor: Tensor, batch: int) -> tuple[int, int, int, int]:
    return (batch, *map_shape(tensor.shape))
