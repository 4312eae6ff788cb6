# SPDX-License-Identifier: Apache-2.0
"""Runs a generated model on the host or on an emulated core: bytes, traces, instructions, memory."""

from __future__ import annotations

__all__ = ["CSources", "TargetRun", "run_on_target"]

import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from mcukit.emulation.build import CSources, Footprint, Program, build_runner, measure_footprint
from mcukit.emulation.counting import INSTRUCTION_CLASSES
from mcukit.emulation.cycles import CYCLE_CLASSES, CycleModel
from mcukit.emulation.execute import Execution, execute
from mcukit.emulation.targets import Target, target_named
from mcukit.emulation.toolchain import require_tools
from mcukit.emulation.trace import TracedMap, assemble_maps
from mcukit.errors import McukitError

_View = TypeVar("_View")

_INVOKE_REGION = 1
_FIRST_LAYER_REGION = 2


@dataclass(frozen=True)
class TargetRun:
    """What a model did on a target. What a target can't measure is None.

    outputs: (N, output_bytes).
    traces: with trace, for each input the feature map that each layer left, row after row, by layer index.
    computed: with trace, for each input and layer a mask over those bytes: True where the program computed
        the byte (a schedule may leave out rows that nobody reads; such bytes are 0 in traces).
    instructions_per_input: executed by each inference, from the call of invoke to its return.
    instruction_classes: of the last input, by class.
    layer_instructions: with profile or trace, of the last input, by class, for each layer.
    unattributed_instructions: the same for what invoke executes outside of layers.
    cycles: an estimate for the last input, by class, if it was asked for. layer_cycles: with profile, for each layer.
    stack_bytes: deepest use of the stack below the call of invoke; None with trace, whose output uses it too.
    code_bytes, weight_bytes, arena_bytes, static_ram_bytes: see Footprint; on the host and with trace only
        arena_bytes, as the model's header says.
    """

    target: str
    outputs: NDArray[np.int8]
    traces: tuple[Mapping[int, bytes], ...] | None
    computed: tuple[Mapping[int, NDArray[np.bool_]], ...] | None
    instructions_per_input: tuple[int, ...] | None
    instruction_classes: Mapping[str, int] | None
    layer_instructions: tuple[Mapping[str, int], ...] | None
    unattributed_instructions: Mapping[str, int] | None
    cycles: Mapping[str, int] | None
    layer_cycles: tuple[Mapping[str, int], ...] | None
    stack_bytes: int | None
    arena_bytes: int
    code_bytes: int | None
    weight_bytes: int | None
    static_ram_bytes: int | None

    @property
    def instructions(self) -> int | None:
        """Of the last input: the steady state."""
        return None if self.instructions_per_input is None else self.instructions_per_input[-1]


def run_on_target(  # noqa: PLR0913
    sources: CSources,
    target: str,
    inputs: NDArray[np.int8],
    *,
    trace: bool = False,
    profile: bool = False,
    sanitize: bool = False,
    jobs: int = 1,
    timeout_seconds: float | None = None,
    cycles: CycleModel | None = None,
) -> TargetRun:
    """Builds the model for a target and runs it on inputs (N, input_bytes) int8.

    trace: bring back what every layer computed. profile: count the instructions of each layer apart. Both
    compile the model with hooks, which cost a few instructions for each piece of a layer; without them the
    measured code is the shipped one. sanitize: on the host only, stop at the first undefined behaviour or
    access out of bounds. jobs: processes that share the inputs. timeout_seconds: for each of them; by default
    generous for the number of inputs. cycles: estimate those too, of this core with this flash.

    Raises McukitError: "unknown-target", "bad-input", "bad-option", "missing-file", "missing-tool",
    "unsupported-tool", "compile-failed", "too-large", "layers-differ", "unknown-section",
    "emulation-timeout", "emulation-failed", "bad-trace".
    """
    machine = target_named(target)
    _check(sources, machine, inputs, sanitize)
    if timeout_seconds is None:
        timeout_seconds = 120.0 + len(inputs) * (120.0 if machine.emulated else 10.0)
    with tempfile.TemporaryDirectory(prefix="mcukit-build-") as scratch:
        folder = Path(scratch)
        program = build_runner(sources, machine, folder, trace=trace, profile=profile, sanitize=sanitize)
        footprint = measure_footprint(sources, machine, folder) if machine.emulated and not trace else None
        executions = _execute_parts(program, inputs, trace, jobs, timeout_seconds, cycles)
    return _merge(program, executions, footprint, with_layers=profile or trace)


def _check(sources: CSources, machine: Target, inputs: NDArray[np.int8], sanitize: bool) -> None:
    fits = inputs.ndim == 2 and inputs.shape[1] == sources.input_bytes and len(inputs) > 0
    if inputs.dtype != np.int8 or not fits:
        raise McukitError(
            "bad-input",
            f"inputs must be int8 of shape (N, {sources.input_bytes}), not {inputs.dtype} of {inputs.shape}",
            where=sources.name,
        )
    if machine.emulated:
        if sanitize:
            raise McukitError("bad-option", "sanitizers are available on target host only", exit_code=2)
        require_tools(machine.compiler, machine.emulator)


def _execute_parts(
    program: Program,
    inputs: NDArray[np.int8],
    trace: bool,
    jobs: int,
    timeout_seconds: float,
    cycles: CycleModel | None,
) -> list[Execution]:
    parts = np.array_split(inputs, min(max(jobs, 1), len(inputs)))
    run = partial(execute, program, trace=trace, timeout_seconds=timeout_seconds, cycles=cycles)
    with ThreadPoolExecutor(max_workers=len(parts)) as pool:
        return list(pool.map(run, parts))


def _merge(
    program: Program, executions: Sequence[Execution], footprint: Footprint | None, *, with_layers: bool
) -> TargetRun:
    maps = _maps_by_input(executions)
    counts = [execution.counts for execution in executions if execution.counts is not None]
    regions = counts[-1].regions[_INVOKE_REGION:] if counts else ()
    cycles = (counts[-1].cycles or ())[_INVOKE_REGION:] if counts else ()
    layers = regions[_FIRST_LAYER_REGION - _INVOKE_REGION :]
    classes = {name: sum(region[name] for region in regions) for name in INSTRUCTION_CLASSES}
    return TargetRun(
        target=program.target.name,
        outputs=np.concatenate([execution.outputs for execution in executions]),
        traces=_each_map(maps, lambda held: held.data.tobytes()),
        computed=_each_map(maps, lambda held: held.computed.ravel()),
        instructions_per_input=tuple(n for count in counts for n in count.totals) if counts else None,
        instruction_classes=classes if counts else None,
        layer_instructions=layers if counts and with_layers else None,
        unattributed_instructions=regions[0] if counts and with_layers else None,
        cycles={name: sum(region[name] for region in cycles) for name in CYCLE_CLASSES} if cycles else None,
        layer_cycles=cycles[_FIRST_LAYER_REGION - _INVOKE_REGION :] if cycles and with_layers else None,
        stack_bytes=max(execution.stack_bytes for execution in executions) if counts and maps is None else None,
        arena_bytes=executions[0].arena_bytes if footprint is None else footprint.arena_bytes,
        code_bytes=None if footprint is None else footprint.code_bytes,
        weight_bytes=None if footprint is None else footprint.weight_bytes,
        static_ram_bytes=None if footprint is None else footprint.static_ram_bytes,
    )


def _each_map(
    maps: tuple[dict[int, TracedMap], ...] | None, view: Callable[[TracedMap], _View]
) -> tuple[dict[int, _View], ...] | None:
    if maps is None:
        return None
    return tuple({layer: view(held) for layer, held in by_layer.items()} for by_layer in maps)


def _maps_by_input(executions: Sequence[Execution]) -> tuple[dict[int, TracedMap], ...] | None:
    """For each input, over all executions in order, the map of each layer."""
    by_input: list[dict[int, TracedMap]] = []
    for execution in executions:
        if execution.trace is None:
            return None
        own: list[dict[int, TracedMap]] = [{} for _ in execution.outputs]
        for (index, layer), traced in assemble_maps(execution.trace).items():
            own[index][layer] = traced
        by_input += own
    return tuple(by_input)
