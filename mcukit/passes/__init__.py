# SPDX-License-Identifier: Apache-2.0
"""Rewrites of the graph between import and quantization. A pass is one function Graph -> Graph in a file of its own."""

from __future__ import annotations

__all__ = ["PASSES", "run_passes"]

from collections.abc import Callable

from mcukit.graph.graph import Graph
from mcukit.graph.validate import validate
from mcukit.passes.fold_pad import fold_pad
from mcukit.passes.fold_scale_shift import fold_scale_shift
from mcukit.passes.fuse_clamp import fuse_clamp
from mcukit.passes.match_hard_swish import match_hard_swish
from mcukit.passes.remove_dead import remove_dead

PASSES: tuple[Callable[[Graph], Graph], ...] = (
    # In front of fuse_clamp, which would take the pattern's clip apart.
    match_hard_swish,
    remove_dead,
    # In front of fuse_clamp: nothing can be folded into a convolution behind its clamp.
    fold_scale_shift,
    fuse_clamp,
    fold_pad,
    remove_dead,
)
"""In the order in which they run."""


def run_passes(graph: Graph) -> Graph:
    """The same network with fewer operators. Nodes that remain keep their names, inputs and outputs of the graph too.

    Raises McukitError if the result isn't valid, as when folded weights leave the range of float32.
    """
    for rewrite in PASSES:
        graph = rewrite(graph)
    validate(graph)
    return graph
