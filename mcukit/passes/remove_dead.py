# SPDX-License-Identifier: Apache-2.0
"""Removes nodes whose results nobody reads."""

from __future__ import annotations

__all__ = ["remove_dead"]

from mcukit.graph.graph import Graph


def remove_dead(graph: Graph) -> Graph:
    """Requires nodes in execution order. Ensures that every node contributes to an output."""
    needed = set(graph.outputs)
    kept = []
    for node in reversed(graph.nodes):
        if node.output in needed:
            needed.update(node.inputs)
            kept.append(node)
    return graph.replace(nodes=tuple(reversed(kept)))
