# SPDX-License-Identifier: Apache-2.0
"""A build and the board that runs it: the line between them, and what the board computes."""

from __future__ import annotations

__all__ = ["connected", "line_baud", "project_folder", "run_on_board"]

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shlex import quote

import numpy as np
import numpy.typing as npt

from mcukit.bench.client import BoardClient
from mcukit.bench.firmware import model_hash
from mcukit.bench.link import Timing
from mcukit.bench.ports import BAUD, attached_port, open_port
from mcukit.bench.project import project_environments
from mcukit.errors import McukitError
from mcukit.workflow.build import Build
from mcukit.workflow.execute import Execution, traced_maps
from mcukit.workflow.progress import Progress, no_progress


def project_folder(build: Build) -> Path:
    """The build's firmware project."""
    return build.folder / "firmware"


def line_baud(build: Build) -> int:
    """Of the serial line, as the build's boards have it; the usual one where they differ."""
    try:
        rates = {env.baud for env in project_environments(project_folder(build))}
    except McukitError:
        return BAUD
    return rates.pop() if len(rates) == 1 else BAUD


@contextmanager
def connected(
    build: Build, port: str | None = None, *, baud: int | None = None, timing: Timing | None = None
) -> Iterator[BoardClient]:
    """The board that runs a build, for as long as the block runs.

    port: see mcukit.bench.ports; None is the only board that is attached. baud: of a serial port; None is the build's.

    Raises McukitError: see mcukit.bench.ports.open_port, attached_port and BoardClient; "wrong-firmware" if the board
    runs anything but this build.
    """
    name = port if port is not None else attached_port()
    remedy = f"mcukit flash {quote(str(build.folder))} --port {quote(name)}"
    transport = open_port(name, baud or line_baud(build), project_folder(build), remedy)
    try:
        yield BoardClient(transport, expected_hash=model_hash(build.c_sources()), timing=timing, remedy=remedy)
    finally:
        transport.close()


def run_on_board(
    build: Build,
    client: BoardClient,
    inputs: npt.NDArray[np.int8],
    *,
    maps: bool = False,
    progress: Progress = no_progress,
) -> Execution:
    """Runs inputs (N, input bytes). maps: bring back what layers compute. Errors as BoardClient raises them."""
    outputs, traces, computed = [], [], []
    for index, values in enumerate(inputs):
        progress("board", index, len(inputs))
        if maps:
            inference, traced = client.layer_maps(values)
            traces.append({layer: held.data.tobytes() for layer, held in traced.items()})
            computed.append({layer: held.computed.ravel() for layer, held in traced.items()})
        else:
            client.load(values)
            inference = client.infer()
        outputs.append(inference.output)
    progress("board", len(inputs), len(inputs))
    if not maps:
        return Execution(np.stack(outputs), {})
    return Execution(np.stack(outputs), *traced_maps(build, traces, computed))
