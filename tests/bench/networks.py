# SPDX-License-Identifier: Apache-2.0
"""A small network whose output shows every damaged input byte, its C under several plans, and its bytes."""

from __future__ import annotations

__all__ = ["INPUTS", "PLANS", "expected_maps", "expected_outputs", "network", "write_network"]

from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mcukit.emulation.build import CSources
from mcukit.emulation.reference import run_reference
from mcukit.export.c_code import generate_c
from mcukit.graph.graph import Graph, Node, Quantization, Tensor
from mcukit.ops.conv2d import Conv2d
from mcukit.ops.max_pool import MaxPool
from mcukit.ops.operator import Operator
from mcukit.ops.window import Window
from mcukit.planning.dataflow import Dataflow
from mcukit.planning.plan import Halo, Stage
from mcukit.planning.planner import plan_of
from mcukit.quantized.integer import IntegerModel
from mcukit.quantized.lower import lower

SAME = (1, 1, 1, 1)

PLANS: dict[str, tuple[Halo, int, bool]] = {
    "layers": (Halo.RECOMPUTED, 1, False),
    "stream": (Halo.KEPT, 1, False),
    "pushed": (Halo.KEPT, 1, True),
    "patches": (Halo.RECOMPUTED, 2, False),
}
"""By name: the halo and the rows and columns of tiles of the only stage, and whether the input is pushed."""


@cache
def network() -> IntegerModel:
    """12x10x3 bytes of input, three layers, 6x5x12 bytes of output: more than a frame holds, of both."""
    numbers = np.random.default_rng(7)
    steps: list[tuple[str, Operator, tuple[str, ...]]] = [
        ("a", Conv2d(Window((3, 3), pads=SAME)), ("image", "weights_a", "bias_a")),  # 12x10x4
        ("b", MaxPool(Window((3, 3), (2, 2), pads=SAME)), ("a",)),  # 6x5x4
        ("c", Conv2d(Window((3, 3), pads=SAME)), ("b", "weights_c", "bias_c")),  # 6x5x12
    ]
    scales = {"image": 1 / 16, "a": 1 / 4, "b": 1 / 4, "c": 1.0}
    tensors = {"image": Tensor("image", (1, 12, 10, 3), None, Quantization.per_tensor(scales["image"], 0))}
    for name, depth, filters, scale in (("a", 3, 4, 1 / 16), ("c", 4, 12, 1 / 4)):
        values = numbers.integers(-127, 128, (filters, 3, 3, depth)).astype(np.int8)
        steps_of = np.full(filters, 0.02, np.float32)
        tensors[f"weights_{name}"] = Tensor(f"weights_{name}", values.shape, values, Quantization(steps_of, 0, 0))
        bias = Quantization(steps_of * np.float32(scale), 0, 0, bits=32)
        tensors[f"bias_{name}"] = Tensor(f"bias_{name}", (filters,), np.zeros(filters, np.int32), bias)
    nodes = []
    for name, operator, inputs in steps:
        shape = operator.output_shape([tensors[i] for i in inputs])
        tensors[name] = Tensor(name, shape, None, Quantization.per_tensor(scales[name], 0))
        nodes.append(Node(f"{name}_layer", operator, inputs, name))
    return lower(Graph("net", tensors, tuple(nodes), ("image",), ("c",)))


def write_network(folder: Path, plan: str) -> CSources:
    """Its C under one of PLANS."""
    model, flow = network(), Dataflow(network())
    halo, tiles, pushed = PLANS[plan]
    stage = Stage(tuple(layer.name for layer in flow.layers), tiles, tiles, halo)
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in generate_c(model, plan_of(flow, (stage,), pushed=pushed)).items():
        (folder / name).write_text(text)
    return CSources("net", folder, len(model.steps), model.input.elements, model.outputs[0].elements)


INPUTS: NDArray[np.int8] = np.random.default_rng(1).integers(-128, 128, (4, 360)).astype(np.int8)


@cache
def expected_maps() -> dict[str, NDArray[np.int8]]:
    """By tensor, for all INPUTS."""
    return run_reference(network(), INPUTS.reshape(-1, 12, 10, 3), keep_maps=True).maps


def expected_outputs() -> NDArray[np.int8]:
    return expected_maps()["c"].reshape(len(INPUTS), -1)
