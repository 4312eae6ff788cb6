# SPDX-License-Identifier: Apache-2.0
"""Proves that an executor or a board computes the reference's bytes, layer by layer."""

from __future__ import annotations

__all__ = ["Difference", "Verification", "random_inputs", "verify"]

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from mcukit.bench.client import Banner, BoardClient
from mcukit.bench.link import Timing
from mcukit.bench.ports import attached_port
from mcukit.bench.protocol import Feature
from mcukit.errors import McukitError
from mcukit.workflow.board import connected, run_on_board
from mcukit.workflow.build import Build
from mcukit.workflow.execute import Execution, execute
from mcukit.workflow.progress import Progress, no_progress

Int8Array = npt.NDArray[np.int8]

RANDOM_INPUTS = 4


@dataclass(frozen=True)
class Difference:
    """The first byte that differs, in the order of execution."""

    input: int
    layer: str
    row: int
    column: int
    channel: int
    expected: int
    found: int


@dataclass(frozen=True)
class Verification:
    """target: the executor, or the port of the board.

    layers_compared: maps compared for each input; 0 where a board sent outputs alone. Outputs are always compared.
    unreached: layers of which no input let a byte be computed: the forms of tiles that no value asked for, and maps of
    which a plan leaves everything out. banner: what a board's firmware says of itself.
    """

    target: str
    equal: bool
    inputs: int
    layers_compared: int
    first_difference: Difference | None
    unreached: tuple[str, ...] = ()
    banner: Banner | None = None


def random_inputs(build: Build, count: int = RANDOM_INPUTS, seed: int = 0) -> Int8Array:
    """Random input bytes, (count, input bytes): uniform, and the same every time.

    Where values decide which form tiles take, uniform bytes are all outliers to them: every second input is ordinary in
    its upper half, so that tiles of both forms run beside each other, and every fourth in all of it.
    """
    generator = np.random.default_rng(seed)
    values = generator.integers(-128, 128, (count, build.model.input.elements)).astype(np.int8)
    test = build.model.branches.test if build.model.branches else None
    if test is None or test.low > 127 or test.high < -128:
        return values
    low, high = max(test.low, -128), min(test.high, 127)
    ordinary = generator.integers(low, high + 1, values.shape).astype(np.int8)
    half = build.model.input.elements // 2
    values[1::2, :half] = ordinary[1::2, :half]
    values[3::4] = ordinary[3::4]
    return values


def verify(
    build: Build,
    on: str | None = None,
    inputs: Int8Array | None = None,
    *,
    port: str | None = None,
    per_layer: bool = False,
    baud: int | None = None,
    timing: Timing | None = None,
    progress: Progress = no_progress,
) -> Verification:
    """Compares bytes with the reference's: of every map that an executor shows, or those that a board sends.

    on: plan, host, an emulated core, tflm or litert. port: a board (see mcukit.bench.ports); without `on` and `port`
    the only one that is attached. inputs: (N, input bytes) int8, random by default.
    per_layer: have a board send the maps of all layers. Without, it sends outputs, and the maps of all layers only for
    the first input whose output differs, to say where that began. Executors show all maps in any case.
    baud, timing: of the line to a board, see mcukit.workflow.board.connected, and there for the errors as well.

    Raises McukitError "unsuitable-target" where there is nothing to compare.
    """
    fed = random_inputs(build) if inputs is None else inputs
    if on is not None and port is not None:
        raise McukitError(
            "wrong-option", "an executor and a board at once", where="--on", hint="give --on or --port", exit_code=2
        )
    if on is None:
        with connected(build, _attached_port() if port is None else port, baud=baud, timing=timing) as client:
            # Firmware hands over the first output; what others hold is seen where layers compute it.
            return _verify_board(build, client, fed, per_layer or len(build.model.outputs) > 1, progress)
    found = execute(build, on, fed, maps=True)
    if not found.maps and found.outputs is None:
        raise McukitError(
            "unsuitable-target",
            f"'{on}' is bound to equal bytes in no map of this network",
            where="--on",
            hint="choose tflm, or a target that runs the generated C",
            exit_code=2,
        )
    return _compare(build, on, fed, found)


def _attached_port() -> str:
    try:
        return attached_port()
    except McukitError as error:
        problems = [replace(p, hint=f"{p.hint}; or verify without a board: --on TARGET") for p in error.problems]
        raise McukitError.collect(problems, exit_code=error.exit_code) from error


def _verify_board(
    build: Build, client: BoardClient, inputs: Int8Array, per_layer: bool, progress: Progress
) -> Verification:
    board = client.board()
    found = run_on_board(build, client, inputs, maps=per_layer, progress=progress)
    result = replace(_compare(build, client.port, inputs, found), banner=board.banner)
    if per_layer or result.first_difference is None or Feature.HOOKS not in board.features:
        return result
    wrong = result.first_difference.input
    again = inputs[wrong : wrong + 1]
    closer = _compare(build, client.port, again, run_on_board(build, client, again, maps=True)).first_difference
    # A board that is right the second time was wrong the first time nevertheless.
    return result if closer is None else replace(result, first_difference=replace(closer, input=wrong))


def _compare(build: Build, target: str, inputs: Int8Array, found: Execution) -> Verification:
    expected = execute(build, "reference", inputs, maps=True)
    narrow = build.model.branches.layers if build.model.branches else ()
    shown = [layer for layer in (*build.model.layers, *narrow) if layer.output in found.maps]
    masks = {
        layer.output: found.computed.get(layer.output, np.ones(found.maps[layer.output].shape[:3], np.bool_))
        for layer in shown
    }
    compared = [layer for layer in shown if masks[layer.output].any()]
    unreached = tuple(layer.name for layer in shown if layer not in compared)

    def result(difference: Difference | None) -> Verification:
        return Verification(target, difference is None, len(inputs), len(compared), difference, unreached)

    for layer in compared:
        reference, candidate, mask = expected.maps[layer.output], found.maps[layer.output], masks[layer.output]
        if not np.array_equal(reference[mask], candidate[mask]):
            # What the plan leaves out is no difference.
            return result(_first_difference(layer.name, reference, np.where(mask[..., None], candidate, reference)))
    if found.outputs is not None:
        output = build.model.outputs[0]
        reference = expected.maps[output.name]
        if not np.array_equal(reference.ravel(), found.outputs.ravel()):
            return result(_first_difference(output.name, reference, found.outputs.reshape(reference.shape)))
    return result(None)


def _first_difference(layer: str, expected: Int8Array, found: Int8Array) -> Difference:
    where = np.argwhere(expected != found)[0]
    at = tuple(int(index) for index in where)
    return Difference(at[0], layer, at[1], at[2], at[3], int(expected[at]), int(found[at]))
