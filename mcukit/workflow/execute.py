# SPDX-License-Identifier: Apache-2.0
"""One interface over everything that can run a build: reference, generated C on a target, TFLite interpreters."""

from __future__ import annotations

__all__ = ["EXECUTORS", "Execution", "check_executor", "execute", "output_bytes", "traced_maps"]

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from mcukit.boards import CORES, Core, load_board
from mcukit.emulation.planned_reference import run_planned_reference
from mcukit.emulation.reference import run_reference
from mcukit.emulation.runner import run_on_target
from mcukit.emulation.targets import TARGETS
from mcukit.errors import McukitError
from mcukit.graph.graph import map_shape
from mcukit.ops.fully_connected import FullyConnected
from mcukit.planning.dataflow import Dataflow
from mcukit.quantized.packing import map_of_bytes
from mcukit.tflite.litert import run_litert_reference
from mcukit.tflite.micro import run_tflm, run_tflm_tensors
from mcukit.tflite.reader import read_tflite
from mcukit.workflow.build import Build

Int8Array = npt.NDArray[np.int8]

EXECUTORS = ("reference", "plan", *TARGETS, "tflm", "litert")
"""What `--on` accepts. reference: NumPy, layer by layer; plan: NumPy in the memory and order of the plan; litert:
LiteRT's reference kernels."""


@dataclass(frozen=True, eq=False)
class Execution:
    """outputs: bytes of the first output, (N, bytes); None where the executor's are not bound to be equal.

    maps: with maps asked for, (N, height, width, channels) of every map that the executor shows, by tensor name.
    computed: where a map was computed, (N, height, width); everywhere if it is missing. Plans leave out what nobody
    reads, and tiles of two precisions compute maps of two kinds.
    """

    outputs: Int8Array | None
    maps: dict[str, Int8Array]
    computed: dict[str, npt.NDArray[np.bool_]] = field(default_factory=dict)


def check_executor(on: str, offered: Sequence[str] = EXECUTORS) -> None:
    """Raises McukitError "unknown-target", or "not-emulated" for a core or a board that nothing emulates.

    offered: what to choose from instead of a target that there is not.
    """
    if on in EXECUTORS:
        return
    core = CORES.get(on) or _core_of_board(on)
    choices = f"choose one of {', '.join(offered)}"
    if core is None:
        raise McukitError("unknown-target", f"there is no target '{on}'", where="--on", hint=choices, exit_code=2)
    what = f"'{on}'" if on == core.name else f"'{on}', a board with {core.name},"
    if core.emulation_target is None:
        hint = f"{core.not_emulated}; --on host runs the same C"
        raise McukitError("not-emulated", f"nothing emulates {what.rstrip(',')}", where="--on", hint=hint, exit_code=2)
    hint = f"write --on {core.emulation_target}"
    raise McukitError("unknown-target", f"{what} is no target", where="--on", hint=hint, exit_code=2)


def _core_of_board(id_or_path: str) -> Core | None:
    """The core of a board; None if there is no such board."""
    try:
        return CORES[load_board(id_or_path).core]
    except McukitError:
        return None


def execute(build: Build, on: str, inputs: Int8Array, *, maps: bool = False, jobs: int = 1) -> Execution:
    """Runs inputs (N, input bytes) int8 on an executor. jobs: processes for the host."""
    check_executor(on)
    if on == "reference":
        run = run_reference(build.model, inputs, keep_maps=maps)
        return Execution(run.outputs[0].reshape(len(inputs), -1), run.maps)
    if on == "plan":
        run = run_planned_reference(build.model, build.plan, inputs, keep_maps=maps)
        return Execution(run.outputs[0].reshape(len(inputs), -1), run.maps, run.computed)
    if on in TARGETS:
        return _run_c(build, on, inputs, maps, jobs)
    return _run_tflite(build, on, inputs, maps)


def output_bytes(build: Build, name: str, inputs: Int8Array, maps: Mapping[str, Int8Array]) -> Int8Array:
    """(N, bytes): an output among what layers computed: a map, or a view of a map or of the input.

    inputs: (N, input bytes). maps: of all layers, as in Execution.
    """
    owner = Dataflow(build.model).owner(name)
    return (inputs if owner == build.model.input.name else maps[owner]).reshape(len(inputs), -1)


def traced_maps(
    build: Build, traces: Sequence[Mapping[int, bytes]], computed: Sequence[Mapping[int, npt.NDArray[np.bool_]]]
) -> tuple[dict[str, Int8Array], dict[str, npt.NDArray[np.bool_]]]:
    """Maps and where they were computed, as in Execution, of what the layers of generated C left.

    traces, computed: for each input, by the layer's number, as in TargetRun.
    """
    found: dict[str, Int8Array] = {}
    masks: dict[str, npt.NDArray[np.bool_]] = {}
    for index, layer in enumerate(build.model.steps):
        form = layer.output_form
        empty = bytes(form.height * form.row_bytes)
        nowhere = np.zeros(len(empty), np.bool_)
        shape = (form.height, form.width, form.channels)
        held = [trace.get(index, empty) for trace in traces]
        if any(len(data) != len(empty) for data in held):
            message = f"layer '{layer.name}' computed a map of another size than the network's"
            raise McukitError("bad-trace", message, hint="what ran was not this build's code")
        found[layer.output] = np.stack([map_of_bytes(data, shape, form.bits) for data in held])
        # Pixels are computed whole.
        written = np.stack([masks_of.get(index, nowhere) for masks_of in computed])
        masks[layer.output] = written.reshape(-1, form.height, form.width, form.pixel_bytes)[..., 0]
    return found, masks


def _run_c(build: Build, on: str, inputs: Int8Array, maps: bool, jobs: int) -> Execution:
    run = run_on_target(build.c_sources(), on, inputs, trace=maps, jobs=jobs)
    if run.traces is None or run.computed is None:
        return Execution(run.outputs, {})
    return Execution(run.outputs, *traced_maps(build, run.traces, run.computed))


def _run_tflite(build: Build, on: str, inputs: Int8Array, maps: bool) -> Execution:
    data = build.tflite()
    model = read_tflite(data, build.name)
    fed = inputs.reshape(len(inputs), *build.model.input.shape[1:])
    if on == "tflm" and not maps:
        return Execution(run_tflm(data, fed)[0].astype(np.int8).reshape(len(inputs), -1), {})
    tensors = run_tflm_tensors(data, fed) if on == "tflm" else run_litert_reference(data, fed)
    known = {tensor.name for tensor in build.model.graph.maps()}
    found: dict[str, Int8Array] = {}
    for index, values in tensors.items():
        name = model.main.tensors[index].name
        # The file has maps of its own where one operator became several; those have no counterpart to compare.
        if name in known:
            found[name] = values.astype(np.int8).reshape(len(inputs), *map_shape(build.model.graph.tensors[name].shape))
    if on == "litert":
        # LiteRT rounds fully connected layers once, TFLM and mcukit twice: what comes after is no oracle.
        found = {name: values for name, values in found.items() if name not in _after_fully_connected(build)}
    output = found.get(build.model.outputs[0].name)
    return Execution(None if output is None else output.reshape(len(inputs), -1), found if maps else {})


def _after_fully_connected(build: Build) -> set[str]:
    """Maps that a fully connected layer computes or has a part in."""
    reached: set[str] = set()
    for layer in build.model.layers:
        if isinstance(layer.node.operator, FullyConnected) or reached.intersection(layer.inputs):
            reached.add(layer.output)
    return reached
