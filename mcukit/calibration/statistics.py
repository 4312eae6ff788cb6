# SPDX-License-Identifier: Apache-2.0
"""What calibration learns of each feature map: its extremes, a histogram between them and its average."""

from __future__ import annotations

__all__ = ["MapStatistics", "collect_statistics"]

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mcukit.calibration.float_model import FloatModel
from mcukit.errors import McukitError

FloatArray = npt.NDArray[np.float32]

BINS = 2048
CHUNK_ELEMENTS = 1 << 24
"""A batch is chosen so that all maps of it together stay near this many values."""


@dataclass(frozen=True, eq=False)
class MapStatistics:
    """Values of one map over the calibration set.

    counts: how many values fell into each of the equal bins between minimum and maximum.
    mean: the average map over all images, in the shape of one image's map: (height, width, channels) or (elements,).
    """

    minimum: float
    maximum: float
    counts: npt.NDArray[np.int64]
    mean: FloatArray

    @property
    def bin_width(self) -> float:
        return (self.maximum - self.minimum) / self.counts.size

    def centres(self) -> npt.NDArray[np.float64]:
        """The middle of each bin."""
        middles: npt.NDArray[np.float64] = np.arange(self.counts.size, dtype=np.float64) + 0.5
        return self.minimum + middles * self.bin_width


def collect_statistics(
    model: FloatModel, inputs: FloatArray, progress: Callable[[int, int], None] | None = None
) -> dict[str, MapStatistics]:
    """Statistics of every map of the graph, by name.

    inputs: (N, height, width, channels), as the network takes them. Two passes: extremes, then histograms.
    progress: called with (images done, images in all), both passes counted.
    """
    elements = sum(tensor.elements for tensor in model.graph.maps())
    batch = max(1, min(16, CHUNK_ELEMENTS // max(elements, 1)))
    total, done = 2 * len(inputs), 0
    lows: dict[str, float] = {}
    highs: dict[str, float] = {}
    sums: dict[str, npt.NDArray[np.float64]] = {}
    for start in range(0, len(inputs), batch):
        chunk = inputs[start : start + batch]
        for name, values in model.run(chunk).items():
            lows[name] = min(lows.get(name, np.inf), float(values.min()))
            highs[name] = max(highs.get(name, -np.inf), float(values.max()))
            sums[name] = sums.get(name, 0.0) + values.sum(axis=0, dtype=np.float64)
        done += len(chunk)
        if progress:
            progress(done, total)
    _refuse_non_finite(lows, highs)
    counts = {name: np.zeros(BINS, np.int64) for name in lows}
    for start in range(0, len(inputs), batch):
        chunk = inputs[start : start + batch]
        for name, values in model.run(chunk).items():
            counts[name] += _histogram(values, lows[name], highs[name])
        done += len(chunk)
        if progress:
            progress(done, total)
    means = {name: _channels_last(total / len(inputs)) for name, total in sums.items()}
    return {name: MapStatistics(lows[name], highs[name], counts[name], means[name]) for name in lows}


def _channels_last(mean: npt.NDArray[np.float64]) -> FloatArray:
    """The average of one map as onnxruntime has it, (channels, height, width) or (elements,), in the graph's layout."""
    ordered = mean.transpose(1, 2, 0) if mean.ndim == 3 else mean
    return np.ascontiguousarray(ordered, np.float32)


def _histogram(values: FloatArray, low: float, high: float) -> npt.NDArray[np.int64]:
    """Counts in BINS equal bins; several times faster than numpy.histogram, which searches edges."""
    factor = BINS / (high - low) if high > low else 0.0
    scaled = values.ravel() - np.float32(low)
    scaled *= np.float32(factor)
    bins = scaled.astype(np.int32)
    np.clip(bins, 0, BINS - 1, out=bins)
    return np.bincount(bins, minlength=BINS).astype(np.int64)


def _refuse_non_finite(lows: dict[str, float], highs: dict[str, float]) -> None:
    for name, low in lows.items():
        if not (np.isfinite(low) and np.isfinite(highs[name])):
            raise McukitError(
                "non-finite-values",
                f"the float network computes infinities or NaN in '{name}'",
                hint="check the weights and the preprocessing (--scale, --mean, --std)",
            )
