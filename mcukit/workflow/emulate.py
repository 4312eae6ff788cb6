# SPDX-License-Identifier: Apache-2.0
"""Runs a build on a target and reports instructions, stack and sizes."""

from __future__ import annotations

__all__ = ["Emulation", "LayerCount", "emulate"]

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mcukit.boards import Board, load_board
from mcukit.emulation.cycles import CycleEstimate, CycleModel, cycle_model
from mcukit.emulation.runner import TargetRun, run_on_target
from mcukit.errors import McukitError
from mcukit.workflow.build import Build
from mcukit.workflow.execute import execute, output_bytes
from mcukit.workflow.verify import random_inputs


@dataclass(frozen=True)
class LayerCount:
    """instructions: of one inference; classes: the same by class of instruction.

    cycles: an estimate, in all; None where none was asked for.
    """

    name: str
    op: str
    macs: int
    instructions: int
    classes: Mapping[str, int]
    cycles: int | None = None


@dataclass(frozen=True, eq=False)
class Emulation:
    """Counts are of the last input. What the host can't measure is None.

    outputs: (N, output bytes) int8 of the first output; all_outputs: of every one, by its name. code_bytes,
    weight_bytes: flash. arena_bytes, static_ram_bytes, stack_bytes: RAM. estimate: of cycles, if a board was given.
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
    estimate: CycleEstimate | None = None


def emulate(
    build: Build,
    on: str | None = None,
    inputs: npt.NDArray[np.int8] | None = None,
    *,
    board: str | Path | None = None,
    layers: bool = True,
    all_outputs: bool = True,
    seed: int = 0,
) -> Emulation:
    """Runs inputs (N, input bytes), by default one random one, on the target `on` or on the core of a board.

    board: an id, or the path of a TOML file: cycles are estimated too, of its core with its flash at its clock.
    layers: whether to count instructions of each layer. all_outputs: whether to bring back what a network has beside
    its first output, which takes a run of its own.

    The total and the stack come from the code as it ships; instructions per layer from a second run with hooks.
    Raises McukitError "no-timings" for a board whose cycles can't be estimated, "wrong-option" if neither or another
    target is given, and what load_board and run_on_target raise.
    """
    target, timed, model = _machine(on, board)
    fed = random_inputs(build, 1, seed) if inputs is None else inputs
    sources = build.c_sources()
    run = run_on_target(sources, target, fed, cycles=model)
    counts: tuple[LayerCount, ...] = ()
    if layers and run.instructions is not None:
        counts = _layer_counts(build, run_on_target(sources, target, fed[-1:], profile=True, cycles=model))
    return Emulation(
        target,
        run.outputs,
        run.instructions,
        run.instruction_classes,
        counts,
        run.arena_bytes,
        run.stack_bytes,
        run.code_bytes,
        run.weight_bytes,
        run.static_ram_bytes,
        _all_outputs(build, target, fed, run.outputs) if all_outputs else {},
        None if timed is None or run.cycles is None else CycleEstimate(timed.id, timed.clock_hz, run.cycles),
    )


def _machine(on: str | None, board: str | Path | None) -> tuple[str, Board | None, CycleModel | None]:
    """The target, and what cycles are estimated of."""
    if board is None:
        if on is None:
            raise McukitError("wrong-option", "neither a target nor a board is given", where="--on", exit_code=2)
        return on, None, None
    timed = load_board(board)
    model = cycle_model(timed)
    target = timed.emulation_target or ""
    if on not in (None, target):
        hint = f"leave --on out, or write --on {target}"
        raise McukitError("wrong-option", f"{timed.id} is no {on}", where="--board", hint=hint, exit_code=2)
    return target, timed, model


def _all_outputs(
    build: Build, on: str, inputs: npt.NDArray[np.int8], first: npt.NDArray[np.int8]
) -> dict[str, npt.NDArray[np.int8]]:
    """The bytes of every output by name: programs hand over the first one, the others show themselves in their maps."""
    name, *others = (tensor.name for tensor in build.model.outputs)
    if not others:
        return {name: first}
    maps = execute(build, on, inputs, maps=True).maps
    return {name: first} | {other: output_bytes(build, other, inputs, maps) for other in others}


def _layer_counts(build: Build, run: TargetRun) -> tuple[LayerCount, ...]:
    measured = run.layer_instructions or ()
    cycles = run.layer_cycles or tuple({} for _ in measured)
    counts = []
    for layer, classes, waited in zip(build.model.steps, measured, cycles, strict=True):
        operator = layer.node.operator
        graph = build.model.graph_of(layer)
        macs = operator.macs(graph.node_inputs(layer.node), graph.tensors[layer.output])
        total = sum(waited.values()) if waited else None
        counts.append(LayerCount(layer.name, operator.op_name, macs, sum(classes.values()), dict(classes), total))
    return tuple(counts)
