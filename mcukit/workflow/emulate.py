# SPDX-License-Identifier: Apache-2.0
"""Runs a build on a target and reports instructions, stack and sizes."""

from __future__ import annotations

__all__ = ["Emulation", "LayerCount", "emulate"]

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from mcukit.emulation.runner import run_on_target
from mcukit.workflow.build import Build
from mcukit.workflow.execute import execute, output_bytes
from mcukit.workflow.verify import random_inputs


@dataclass(frozen=True)
class LayerCount:
    """instructions: of one inference; classes: the same by class of instruction."""

    name: str
    op: str
    macs: int
    instructions: int
    classes: Mapping[str, int]


@dataclass(frozen=True, eq=False)
class Emulation:
    """Counts are of the last input. What the host can't measure is None.

    outputs: (N, output bytes) int8 of the first output; all_outputs: of every one, by its name. code_bytes,
    weight_bytes: flash. arena_bytes, static_ram_bytes, stack_bytes: RAM.
    """

    target: str
    outputs: npt.NDArray[np.int8]
    instructions: int | None
    instruction_classes: Mapping[str, int] | None
    layers: tuple[LayerCount, ...]
    arena_bytes: int
    stack_bytes: int | None
    code_bytes: int | None
    weight_bytes: int | None
    static_ram_bytes: int | None
    all_outputs: Mapping[str, npt.NDArray[np.int8]] = field(default_factory=dict)


def emulate(
    build: Build,
    on: str,
    inputs: npt.NDArray[np.int8] | None = None,
    *,
    layers: bool = True,
    all_outputs: bool = True,
    seed: int = 0,
) -> Emulation:
    """Runs inputs (N, input bytes), by default one random one.

    layers: whether to count instructions of each layer. all_outputs: whether to bring back what a network has beside
    its first output, which takes a run of its own.

    The total and the stack come from the code as it ships; instructions per layer from a second run with hooks.
    """
    fed = random_inputs(build, 1, seed) if inputs is None else inputs
    sources = build.c_sources()
    run = run_on_target(sources, on, fed)
    counts: tuple[LayerCount, ...] = ()
    if layers and run.instructions is not None:
        profiled = run_on_target(sources, on, fed[-1:], profile=True)
        counts = _layer_counts(build, profiled.layer_instructions or ())
    return Emulation(
        on,
        run.outputs,
        run.instructions,
        run.instruction_classes,
        counts,
        run.arena_bytes,
        run.stack_bytes,
        run.code_bytes,
        run.weight_bytes,
        run.static_ram_bytes,
        _all_outputs(build, on, fed, run.outputs) if all_outputs else {},
    )


def _all_outputs(
    build: Build, on: str, inputs: npt.NDArray[np.int8], first: npt.NDArray[np.int8]
) -> dict[str, npt.NDArray[np.int8]]:
    """The bytes of every output by name: programs hand over the first one, the others show themselves in their maps."""
    name, *others = (tensor.name for tensor in build.model.outputs)
    if not others:
        return {name: first}
    maps = execute(build, on, inputs, maps=True).maps
    return {name: first} | {other: output_bytes(build, other, inputs, maps) for other in others}


def _layer_counts(build: Build, measured: tuple[Mapping[str, int], ...]) -> tuple[LayerCount, ...]:
    computed = build.model.steps
    counts = []
    for layer, classes in zip(computed, measured, strict=True):
        operator = layer.node.operator
        graph = build.model.graph_of(layer)
        macs = operator.macs(graph.node_inputs(layer.node), graph.tensors[layer.output])
        counts.append(LayerCount(layer.name, operator.op_name, macs, sum(classes.values()), dict(classes)))
    return tuple(counts)
