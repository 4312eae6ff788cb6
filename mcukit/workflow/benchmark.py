# SPDX-License-Identifier: Apache-2.0
"""Measures a build on a board, layer by layer."""

from __future__ import annotations

__all__ = ["RUNS", "WARM_UP", "benchmark"]

from collections.abc import Mapping
from shlex import quote
from typing import Any

import numpy as np
import numpy.typing as npt

from mcukit.bench.client import BoardClient, Inference, Profile
from mcukit.bench.link import Timing
from mcukit.bench.result import BenchResult, Estimate, LayerTicks, Ticks, clock_of
from mcukit.errors import McukitError
from mcukit.quantities import counted
from mcukit.quantized.branches import narrow_name
from mcukit.workflow.board import connected, run_on_board
from mcukit.workflow.build import Build
from mcukit.workflow.execute import execute, output_bytes
from mcukit.workflow.progress import Progress, no_progress
from mcukit.workflow.verify import random_inputs

RUNS = 10
WARM_UP = 2


def benchmark(
    build: Build,
    port: str | None = None,
    *,
    runs: int = RUNS,
    warm_up: int = WARM_UP,
    inputs: npt.NDArray[np.int8] | None = None,
    baud: int | None = None,
    timing: Timing | None = None,
    progress: Progress = no_progress,
) -> BenchResult:
    """Ticks of inferences and of their layers, as the board counts them.

    port, baud, timing: see mcukit.workflow.board.connected, and there for the errors as well. inputs: (N, input bytes),
    taken in turn; by default a random one. runs: inferences that are measured, at least 1; warm_up: others before them.

    Every output must be the reference's: raises McukitError "wrong-output" where one is not, because the time of a
    wrong answer is worth nothing. Also raises "no-hooks" for firmware that can't measure layers.
    """
    if runs < 1 or warm_up < 0:
        raise ValueError("at least one run, and no negative number of runs before it")
    # Where values decide about tiles, the second random input has tiles of both forms.
    fed = random_inputs(build, 2)[1:] if inputs is None else inputs
    expected = execute(build, "reference", fed).outputs
    if expected is None:
        raise AssertionError("the reference has outputs")
    with connected(build, port, baud=baud, timing=timing) as client:
        board = client.board()
        if len(build.model.outputs) > 1:
            _check_all_outputs(build, client, fed, progress)
        profiles = _profiles(build, client, fed, expected, (warm_up, runs), progress)
        if board.layers != len(build.model.steps):
            raise McukitError(
                "bad-reply",
                f"the board has {counted(board.layers, 'layer')}, the build {len(build.model.steps)}",
                where=client.port,
                hint="flash the firmware of this build",
            )
        return BenchResult(
            model=build.name,
            port=client.port,
            banner=board.banner,
            clock=clock_of(client.port, board.banner),
            ticks_per_second=board.ticks_per_second,
            runs=runs,
            warm_up=warm_up,
            total=Ticks.of([profile.inference.ticks for profile in profiles]),
            layers=_layers(build, profiles, len(fed)),
            estimate=_estimate(build.report),
        )


def _profiles(
    build: Build,
    client: BoardClient,
    inputs: npt.NDArray[np.int8],
    expected: npt.NDArray[np.int8],
    counts: tuple[int, int],
    progress: Progress,
) -> list[Profile]:
    """counts: inferences that don't count, then those that do."""
    warm_up, runs = counts
    profiles = []
    loaded = None
    for run in range(warm_up + runs):
        progress("inferences", run, warm_up + runs)
        index = run % len(inputs)
        if index != loaded:
            client.load(inputs[index])
            loaded = index
        profile = client.profile()
        _check_output(build, client.port, profile.inference, expected[index])
        if run >= warm_up:
            profiles.append(profile)
    progress("inferences", warm_up + runs, warm_up + runs)
    return profiles


def _check_all_outputs(build: Build, client: BoardClient, inputs: npt.NDArray[np.int8], progress: Progress) -> None:
    """Compares the outputs that only their layers show, once for each input: an inference hands over the first one."""
    expected = execute(build, "reference", inputs, maps=True).maps
    found = run_on_board(build, client, inputs, maps=True, progress=progress).maps
    for tensor in build.model.outputs[1:]:
        ours, theirs = (output_bytes(build, tensor.name, inputs, maps) for maps in (found, expected))
        wrong = int(np.count_nonzero(ours != theirs))
        if wrong:
            raise _wrong_output(build, client.port, f"{wrong} of {ours.size} bytes of '{tensor.name}'")


def _check_output(build: Build, port: str, inference: Inference, expected: npt.NDArray[np.int8]) -> None:
    wrong = int(np.count_nonzero(inference.output != expected.ravel()))
    if wrong:
        raise _wrong_output(build, port, f"{wrong} of {expected.size} bytes of the output")


def _wrong_output(build: Build, port: str, what: str) -> McukitError:
    return McukitError(
        "wrong-output",
        f"{what} are not the reference's",
        where=port,
        hint=f"see where that begins: mcukit verify {quote(str(build.folder))} --port {quote(port)} --per-layer",
    )


def _layers(build: Build, profiles: list[Profile], inputs: int) -> tuple[LayerTicks, ...]:
    """Of the runs with the input of the median run: other inputs may run other layers, and a mix of them tells nothing.

    inputs: how many there are; runs take them in turn.
    """
    median = Ticks.of([profile.inference.ticks for profile in profiles]).median
    typical = next(index for index, profile in enumerate(profiles) if profile.inference.ticks == median)
    alike = profiles[typical % inputs :: inputs]
    counted = _counts(build)
    layers = []
    for index, layer in enumerate(build.model.steps):
        operator, graph = layer.node.operator, build.model.graph_of(layer)
        macs = operator.macs(graph.node_inputs(layer.node), graph.tensors[layer.output])
        ticks = Ticks.of([profile.layer_ticks[index] for profile in alike])
        layers.append(LayerTicks(layer.name, operator.op_name, macs, ticks, counted.get(layer.name)))
    return tuple(layers)


def _counts(build: Build) -> dict[str, int]:
    """Instructions of layers by name, as far as report.json has them."""
    counts: dict[str, int | None] = {}
    for entry in build.report["layers"]:
        counts[entry["name"]] = entry["instructions"]
        counts[narrow_name(entry["name"])] = (entry.get("narrow") or {}).get("instructions")
    return {name: count for name, count in counts.items() if count is not None}


def _estimate(report: Mapping[str, Any]) -> Estimate | None:
    emulation = report.get("emulation")
    if emulation is None:
        return None
    return Estimate(emulation["target"], emulation["compiler"], emulation["instructions"])
