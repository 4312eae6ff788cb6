# SPDX-License-Identifier: Apache-2.0
"""How much of what a map says is left when it has few bits.

The Shannon entropy of a map's values is taken from a histogram of 256 equal bins over the range that quantization
keeps; what lies outside is clipped, and counts at its end. Quantizing to b bits puts each bin where its middle is
rounded to among 2^b equally spaced values. At 8 bits every bin stays alone, so that nothing is lost against the
histogram.
"""

from __future__ import annotations

__all__ = ["ENTROPY_BINS", "GroupEntropy", "clipped_histogram", "entropy_of", "group_entropies", "quantized_histogram"]

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mcukit.calibration.ranges import Range
from mcukit.calibration.statistics import MapStatistics
from mcukit.graph.graph import Graph
from mcukit.quantized.packing import MAP_BITS
from mcukit.quantized.precision import quantization_groups

Float64Array = npt.NDArray[np.float64]

ENTROPY_BINS = 256


@dataclass(frozen=True)
class GroupEntropy:
    """Entropies, in bits, of the values of maps that share a quantization. quantized: by width, 8 bits and fewer."""

    entropy: float
    quantized: Mapping[int, float]

    def loss(self, bits: int) -> float:
        """The share of the entropy that `bits` bits lose, 0 to 1; a constant map has nothing to lose."""
        return (self.entropy - self.quantized[bits]) / self.entropy if self.entropy > 0.0 else 0.0


def clipped_histogram(statistics: MapStatistics, span: Range) -> Float64Array:
    """ENTROPY_BINS counts over `span`.

    Within the finer bins of the statistics values are taken as evenly spread, so that counts are no integers.
    """
    total = float(statistics.counts.sum())
    edges = np.linspace(span.minimum, span.maximum, ENTROPY_BINS + 1)
    if statistics.maximum <= statistics.minimum:
        # All values are one, and the statistics count them in their first bin.
        histogram = np.zeros(ENTROPY_BINS)
        position = np.searchsorted(edges, statistics.minimum, side="right") - 1
        histogram[np.clip(position, 0, ENTROPY_BINS - 1)] = total
        return histogram
    finer = np.linspace(statistics.minimum, statistics.maximum, statistics.counts.size + 1)
    cumulative = np.concatenate([[0.0], np.cumsum(statistics.counts, dtype=np.float64)])
    below = np.interp(edges, finer, cumulative)
    below[0], below[-1] = 0.0, total
    counts: Float64Array = np.diff(below)
    return counts


def quantized_histogram(histogram: Float64Array, bits: int) -> Float64Array:
    """The histogram after rounding each bin's middle to one of 2^bits values spread over the same range."""
    largest = (1 << bits) - 1
    middles = (np.arange(histogram.size) + 0.5) / histogram.size
    values = np.rint(middles * largest).astype(np.int64)
    merged: Float64Array = np.bincount(values, weights=histogram, minlength=largest + 1).astype(np.float64)
    return merged


def entropy_of(histogram: Float64Array) -> float:
    """Shannon entropy in bits."""
    counts = histogram[histogram > 0.0]
    total = counts.sum()
    if not total:
        return 0.0
    shares = counts / total
    return max(float(-(shares * np.log2(shares)).sum()), 0.0)


def group_entropies(
    graph: Graph, statistics: Mapping[str, MapStatistics], ranges: Mapping[str, Range]
) -> dict[str, GroupEntropy]:
    """For every group of maps of a float graph that share a quantization, by its representative.

    ranges: calibrated range of every map. A group has the union of its maps' ranges, and all their values.
    """
    groups = quantization_groups(graph)
    producers = graph.producers()
    spans: dict[str, Range] = {}
    for name, group in groups.items():
        span = ranges[name]
        if name in producers:
            span = span.clipped(*producers[name].operator.output_limits())
        spans[group] = spans[group].union(span) if group in spans else span
    histograms = {group: np.zeros(ENTROPY_BINS) for group in spans}
    for name, group in groups.items():
        histograms[group] += clipped_histogram(statistics[name], spans[group])
    return {
        group: GroupEntropy(
            entropy_of(histogram), {bits: entropy_of(quantized_histogram(histogram, bits)) for bits in MAP_BITS}
        )
        for group, histogram in histograms.items()
    }
