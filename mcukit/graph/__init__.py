# SPDX-License-Identifier: Apache-2.0
"""The graph every importer produces and every later stage reads."""

from __future__ import annotations

__all__ = ["Graph", "Node", "Quantization", "Shape", "Tensor", "map_shape"]

from mcukit.graph.graph import Graph, Node, Quantization, Shape, Tensor, map_shape
