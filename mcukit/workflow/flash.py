# SPDX-License-Identifier: Apache-2.0
"""Puts a build's firmware onto a board, and sees that the board runs it."""

from __future__ import annotations

__all__ = ["Flashed", "flash"]

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mcukit.bench.client import Banner, Board
from mcukit.bench.firmware import SerialOptions, build_serial_program, firmware_flags
from mcukit.bench.images import emulated_image_path
from mcukit.bench.link import Timing
from mcukit.bench.pio import check_project_path, find_pio, upload
from mcukit.bench.ports import attached_port, check_port, emulated_name, require_port
from mcukit.bench.project import ProjectEnvironment, choose_environment, project_environments
from mcukit.bench.protocol import Feature
from mcukit.emulation.targets import EMULATED_BOARDS, Target
from mcukit.emulation.toolchain import publish, require_tools
from mcukit.errors import McukitError, Problem, unwritable_output
from mcukit.workflow.board import connected, project_folder
from mcukit.workflow.build import Build
from mcukit.workflow.progress import Progress, no_progress

_START_SECONDS = 15.0
"""For a board to start its new firmware: its USB port may go and come back meanwhile."""

_RETRY_SECONDS = 0.25
_STARTING = frozenset({"board-unreachable", "no-answer", "garbled-serial", "no-board"})


@dataclass(frozen=True)
class Flashed:
    """port: where the board answers. environment: of the firmware project; None without PlatformIO.

    image: the file that an emulated board keeps; None for others. board: what the firmware says of itself.
    """

    port: str
    environment: str | None
    image: Path | None
    board: Board

    @property
    def keeps_input(self) -> bool:
        """Whether there was room for a copy of the input: without, it is sent again for each inference."""
        return Feature.KEEPS_INPUT in self.board.features


def flash(
    build: Build,
    port: str | None = None,
    *,
    environment: str | None = None,
    upload_port: str | None = None,
    timing: Timing | None = None,
    progress: Progress = no_progress,
) -> Flashed:
    """Builds the firmware of a build, uploads it, and waits until the board says that it runs it.

    port: the board's serial line, see mcukit.bench.ports; None is the only board that is attached. What is flashed onto
    `emulated:NAME` is kept in the build folder, and compiled without PlatformIO unless an environment is named.
    environment: which of the firmware project's PlatformIO builds; None is the only one that it builds by default.
    upload_port: what PlatformIO uploads through; None is `port` where boards are flashed through their serial port.

    Raises McukitError: what mcukit.workflow.board.connected raises; "missing-package" without PlatformIO and
    "no-firmware", "unknown-environment", "several-environments" or "unsuitable-path" before anything is done;
    "flash-failed" with what PlatformIO said; for emulated boards what compiling raises, and "unwritable-output".
    """
    if port is None:
        return _flash_board(build, None, environment, upload_port, timing, progress)
    check_port(port)
    name = emulated_name(port)
    if name is not None and upload_port is not None:
        message, hint = "an emulated board is not uploaded to through a port", "leave it out"
        raise McukitError("wrong-option", message, where="--upload-port", hint=hint, exit_code=2)
    if name is None or environment is not None:
        return _flash_board(build, port, environment, upload_port, timing, progress)
    return _flash_emulated(build, port, name, timing, progress)


def _flash_emulated(build: Build, port: str, name: str, timing: Timing | None, progress: Progress) -> Flashed:
    target = EMULATED_BOARDS[name]
    require_tools(target.compiler, *([target.emulator] if target.emulated else []))
    progress("compile", 0, 1)
    kernels = target.kernels_that_run(build.model.kernels)
    options = SerialOptions(board=f"emulated-{name}", kernels=kernels.value)
    image = emulated_image_path(project_folder(build), name)
    try:
        image.parent.mkdir(parents=True, exist_ok=True)
        # Beside the image, so that it gets there in one step.
        with tempfile.TemporaryDirectory(prefix=".compile-", dir=image.parent) as scratch:
            publish(_compile(build, target, Path(scratch), options), image)
    except OSError as error:
        hint = "the image is kept in the build: make that folder writable, or quantize into another one"
        raise unwritable_output("the image", image.parent, error, hint) from error
    progress("compile", 1, 1)
    with connected(build, port, timing=timing) as client:
        board = client.board()
    _check_banner(board.banner, port, options.kernels, " ".join(firmware_flags(target)))
    return Flashed(port, None, image, board)


def _compile(build: Build, target: Target, folder: Path, options: SerialOptions) -> Path:
    """The program, with a copy of the input if there is room for one."""
    sources = build.c_sources()
    try:
        return build_serial_program(sources, target, folder, options)
    except McukitError as error:
        if error.problems[0].code != "too-large":
            raise
    try:
        return build_serial_program(sources, target, folder, options.without_kept_input())
    except McukitError as error:
        if error.problems[0].code != "too-large":
            raise
        message = error.problems[0].message
        hint = "quantize for less memory, with --board or --sram, or choose an emulated board with more"
        raise McukitError("too-large", message, where=f"emulated:{target.name}", hint=hint) from error


def _flash_board(
    build: Build,
    port: str | None,
    environment: str | None,
    upload_port: str | None,
    timing: Timing | None,
    progress: Progress,
) -> Flashed:
    chosen = choose_environment(project_environments(project_folder(build)), environment)
    _check_machine(chosen, port)
    check_project_path(project_folder(build))
    pio = find_pio()
    # A board that is missing is noticed before minutes go into its firmware.
    line = port if port is not None else attached_port()
    require_port(line)
    progress("build and upload", 0, 1)
    upload(pio, project_folder(build), chosen.name, upload_port or _upload_port(chosen, line))
    progress("build and upload", 1, 1)

    def answer() -> tuple[str, Board]:
        # Boards that are their own USB device may come back under another name.
        name = port if port is not None else attached_port()
        with connected(build, name, baud=chosen.baud, timing=timing) as client:
            return name, client.board()

    progress("start", 0, 1)
    name, board = _when_started(answer)
    progress("start", 1, 1)
    _check_banner(board.banner, name, chosen.kernels, None)
    image = emulated_image_path(project_folder(build), chosen.machine) if chosen.machine else None
    return Flashed(name, chosen.name, image, board)


def _check_machine(environment: ProjectEnvironment, port: str | None) -> None:
    """Whether it is this emulated board that the environment is for, or none where that is for none."""
    name = None if port is None else emulated_name(port)
    if environment.machine == name:
        return
    meant = f"--port emulated:{environment.machine}" if environment.machine else "the port of that board"
    raise McukitError(
        "wrong-option",
        f"'{environment.name}' is not the firmware of {'an attached board' if port is None else port}",
        where="--environment",
        hint=f"give {meant}, or leave out --environment",
        exit_code=2,
    )


def _upload_port(environment: ProjectEnvironment, line: str) -> str | None:
    """What to upload through: nothing for a probe, which is found by itself, or if the line is no serial port here."""
    return None if environment.has_probe or environment.machine or "://" in line else line


def _when_started(answer: Callable[[], tuple[str, Board]]) -> tuple[str, Board]:
    """What a board answers that is just starting."""
    give_up_at = time.monotonic() + _START_SECONDS
    while True:
        try:
            return answer()
        except McukitError as error:
            if error.problems[0].code not in _STARTING or time.monotonic() >= give_up_at:
                raise
        time.sleep(_RETRY_SECONDS)


def _check_banner(banner: Banner, port: str, kernels: str | None, flags: str | None) -> None:
    """Whether a firmware with this build's hash is also the one that was flashed. None: it is not known."""
    expected = {"kernels": kernels, "compiler_flags": flags}
    problems = [
        Problem(
            "wrong-firmware",
            f"the board's {field.replace('_', ' ')} are '{getattr(banner, field)}', not '{value}' as flashed",
            port,
            "an older firmware of this network still runs: reset the board and flash again",
        )
        for field, value in expected.items()
        if value is not None and getattr(banner, field) != value
    ]
    if problems:
        raise McukitError.collect(problems)
