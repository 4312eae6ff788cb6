# SPDX-License-Identifier: Apache-2.0
"""How the values that a layer's weights multiply vary together: which errors of weights cancel and which add up."""

from __future__ import annotations

__all__ = ["InputMoments", "collect_input_moments"]

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mcukit.calibration.float_model import FloatModel
from mcukit.graph.graph import Node
from mcukit.repair.filter_matrix import FilterMatrix

Float64Array = npt.NDArray[np.float64]
FloatArray = npt.NDArray[np.float32]

PIXELS = 128
"""So many output pixels of each image are looked at, at most: neighbours see nearly the same."""

MOMENT_BYTES = 1 << 29
"""Layers whose moments fit into this together are collected in one pass over the images."""

MOST_INPUTS = 8192
"""Layers whose output channels multiply more values have no moments."""

BATCH = 8


@dataclass(frozen=True, eq=False)
class InputMoments:
    """Of the values that one output pixel sees, for each group of a layer.

    mean: (groups, inputs). covariance: (groups, inputs, inputs). samples: over how many pixels.
    """

    mean: Float64Array
    covariance: Float64Array
    samples: int


def collect_input_moments(
    model: FloatModel,
    inputs: FloatArray,
    layers: Iterable[str],
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[tuple[str, InputMoments]]:
    """Moments of the float network over N images (N, height, width, channels), layer by layer.

    layers: names of nodes with weights. The same images and layers give the same moments. progress: called with
    (images done, images in all), where every pass over the images counts.
    """
    chosen = set(layers)
    passes = list(_passes(model, [node for node in model.graph.nodes if node.name in chosen]))
    places = {node.name: place for place, node in enumerate(model.graph.nodes)}
    for index, members in enumerate(passes):
        sums = {node.name: _Sums(matrix) for node, matrix in members}
        for start in range(0, len(inputs), BATCH):
            maps = model.run(inputs[start : start + BATCH])
            for node, matrix in members:
                pixels = _pixels(matrix, seed=(start, places[node.name]))
                sums[node.name].add(matrix.seen(maps[node.inputs[0]], pixels))
            if progress:
                progress(index * len(inputs) + min(start + BATCH, len(inputs)), len(passes) * len(inputs))
        for name in list(sums):
            yield name, sums.pop(name).moments()


def _passes(model: FloatModel, nodes: Sequence[Node]) -> Iterator[list[tuple[Node, FilterMatrix]]]:
    members: list[tuple[Node, FilterMatrix]] = []
    room = MOMENT_BYTES
    for node in nodes:
        matrix = FilterMatrix.of(model.graph, node)
        if matrix is None or matrix.inputs > MOST_INPUTS:
            continue
        size = 8 * matrix.groups * matrix.inputs**2
        if members and size > room:
            yield members
            members, room = [], MOMENT_BYTES
        members.append((node, matrix))
        room -= size
    if members:
        yield members


def _pixels(matrix: FilterMatrix, seed: tuple[int, int]) -> npt.NDArray[np.int64]:
    """Some pixels of the output map, other ones for each batch but always the same."""
    count = matrix.output_map[0] * matrix.output_map[1]
    if count <= PIXELS:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, PIXELS, replace=False))


class _Sums:
    """Sums of values and of products of values."""

    def __init__(self, matrix: FilterMatrix) -> None:
        self._first = np.zeros((matrix.groups, matrix.inputs))
        self._second = np.zeros((matrix.groups, matrix.inputs, matrix.inputs))
        self._samples = 0

    def add(self, seen: FloatArray) -> None:
        self._first += seen.sum(axis=1, dtype=np.float64)
        self._second += np.matmul(seen.transpose(0, 2, 1), seen)
        self._samples += seen.shape[1]

    def moments(self) -> InputMoments:
        mean = self._first / self._samples
        self._second /= self._samples
        self._second -= mean[:, :, np.newaxis] * mean[:, np.newaxis, :]
        return InputMoments(mean, self._second, self._samples)
