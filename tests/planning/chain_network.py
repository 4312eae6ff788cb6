# SPDX-License-Identifier: Apache-2.0
"""A network without weights with what plans must get right: windows, scratch, a layer in place, a residual, a view."""

from __future__ import annotations

__all__ = ["LAYERS", "chain_inputs", "chain_network", "edited", "one_after_the_other"]

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from mcukit.graph.graph import Graph, Node, Quantization, Tensor
from mcukit.ops.activation import RELU
from mcukit.ops.add import Add
from mcukit.ops.average_pool import AveragePool
from mcukit.ops.max_pool import MaxPool
from mcukit.ops.operator import Operator
from mcukit.ops.relu import Clip
from mcukit.ops.reshape import Reshape
from mcukit.ops.window import Window
from mcukit.planning.plan import DEFAULT_REGION, Plan
from mcukit.quantized.integer import IntegerModel
from mcukit.quantized.lower import lower

LAYERS = ("largest", "mean", "rectified", "sum", "small")
"""Those that compute something; "vector" is a view of "small"."""

_AROUND = Window((3, 3), pads=(1, 1, 1, 1))
_STEPS: tuple[tuple[str, Operator, tuple[str, ...]], ...] = (
    ("largest", MaxPool(_AROUND), ("in",)),
    ("mean", AveragePool(_AROUND), ("largest",)),
    ("rectified", Clip(RELU), ("mean",)),
    ("sum", Add(), ("rectified", "largest")),
    ("small", MaxPool(Window((2, 2), (2, 2))), ("sum",)),
    ("vector", Reshape((1, 64)), ("small",)),
)


def chain_network() -> IntegerModel:
    """On an 8x8x4 input "in"; layers have the names of their outputs."""
    same = Quantization.per_tensor(0.1, 0)
    tensors = {"in": Tensor("in", (1, 8, 8, 4), None, same)}
    for name, operator, inputs in _STEPS:
        shape = operator.output_shape([tensors[source] for source in inputs])
        tensors[name] = Tensor(name, shape, None, same)
    nodes = tuple(Node(name, operator, inputs, name) for name, operator, inputs in _STEPS)
    return lower(Graph("chain", tensors, nodes, ("in",), ("vector",)))


def chain_inputs() -> np.ndarray:
    """Three inputs, small enough that sums of them don't saturate."""
    return np.random.default_rng(1).integers(-60, 60, (3, 8, 8, 4)).astype(np.int8)


def one_after_the_other(plan: Plan) -> Plan:
    """The plan with buffers that share nothing, in the order of maps and scratch; "vector" lies where "small" lies."""
    start = 0
    maps, scratch = dict(plan.maps), dict(plan.scratch)
    for places in (maps, scratch):
        for name, place in places.items():
            if name != "vector":
                places[name] = replace(place, offset=start)
                start = places[name].end
    maps["vector"] = replace(maps["vector"], offset=maps["small"].offset)
    return replace(plan, maps=maps, scratch=scratch, arenas={DEFAULT_REGION: start})


def edited(
    plan: Plan,
    *,
    maps: Mapping[str, Mapping[str, Any]] | None = None,
    scratch: Mapping[str, Mapping[str, Any]] | None = None,
) -> Plan:
    """The plan with other fields in some places, in an arena that ends where these end."""
    changed = dict(plan.maps) | {name: replace(plan.maps[name], **fields) for name, fields in (maps or {}).items()}
    working = dict(plan.scratch)
    working |= {name: replace(plan.scratch[name], **fields) for name, fields in (scratch or {}).items()}
    end = max(place.end for place in (*changed.values(), *working.values()))
    return replace(plan, maps=changed, scratch=working, arenas={DEFAULT_REGION: -(-end // 4) * 4})
