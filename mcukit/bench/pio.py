# SPDX-License-Identifier: Apache-2.0
"""Runs PlatformIO, which builds a firmware project with a board's framework and uploads it."""

from __future__ import annotations

__all__ = ["check_project_path", "find_pio", "upload"]

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from shlex import quote

from mcukit.errors import McukitError

_SECONDS = 1800.0
"""The first time, PlatformIO downloads a compiler and a framework."""

_END_SECONDS = 5.0
_SHOWN_LINES = 12
_COLOURS = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_TELLING = re.compile(r"error|exception|fail|unknown|denied|overflowed|not found|no such|unable", re.IGNORECASE)

_HINTS = (
    (r"unknown board|UnknownBoard", "PlatformIO does not know this board: pio pkg update, and `pio boards` lists them"),
    (r"overflowed by \d+ bytes", "it does not fit: quantize again with --board or with a smaller --sram or --flash"),
    (
        r"ConnectionError|HTTPClientError|InternetConnection|internet connection|Could not (find|install) the package",
        "PlatformIO downloads compiler and framework the first time: is this computer on the internet?",
    ),
    (
        r"denied|LIBUSB_ERROR_ACCESS|insufficient permissions",
        "may you use the port and the probe? On Linux: group dialout, and PlatformIO's udev rules",
    ),
    (
        r"open failed|no device found|init mode failed|could not open port|Failed to connect|specify .?upload_port",
        "is the board connected and powered, and is no other program using it?",
    ),
)


def find_pio() -> Path:
    """PlatformIO's command, from the PATH or beside this Python. Raises McukitError "missing-package"."""
    found = shutil.which("pio") or shutil.which("pio", path=str(Path(sys.executable).parent))
    if found is None:
        raise McukitError(
            "missing-package",
            "PlatformIO is not installed; it builds firmware for boards and uploads it",
            hint="pip install 'mcukit[platformio]'; or flash an emulated board: --port emulated:stm32f405",
        )
    return Path(found)


def check_project_path(project_folder: Path) -> None:
    """Raises McukitError "unsuitable-path" for a folder in which PlatformIO can't build: it would write beside it."""
    path = str(project_folder.resolve())
    if "$" in path:
        raise McukitError(
            "unsuitable-path",
            "PlatformIO takes what follows a $ in a path for the name of a variable, and can't build here",
            where=path,
            hint="move the build to a folder without $ in its path",
            exit_code=2,
        )


def upload(
    pio: Path, project_folder: Path, environment: str, upload_port: str | None = None, *, seconds: float = _SECONDS
) -> None:
    """Builds an environment of a project and uploads it.

    Raises McukitError "flash-failed" with what PlatformIO said, or if it takes longer than `seconds`.
    """
    command = [
        str(pio),
        "run",
        "--project-dir",
        str(project_folder),
        "--environment",
        environment,
        "--target",
        "upload",
    ]
    if upload_port is not None:
        command += ["--upload-port", upload_port]
    code, log = _run(command, seconds)
    if code == 0:
        return
    hint = next((hint for pattern, hint in _HINTS if re.search(pattern, log, re.IGNORECASE)), "")
    again = f"to see all of it: pio run -d {quote(str(project_folder))} -e {quote(environment)} -t upload"
    what = f"did not finish in {seconds:g} seconds" if code is None else f"failed with exit code {code}"
    raise McukitError(
        "flash-failed",
        f"PlatformIO {what}{_excerpt(log)}",
        where=environment,
        hint=f"{hint} - {again}" if hint else again,
    )


def _run(command: Sequence[str], seconds: float) -> tuple[int | None, str]:
    """Exit code, None if it took too long, and all that was printed. Nothing that it started is left running."""
    environment = {**os.environ, "PLATFORMIO_NO_ANSI": "true", "LC_ALL": "C.UTF-8"}
    try:
        process = subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment,
            # A group of its own, so that compilers and uploaders can be ended with it.
            start_new_session=True,
        )
    except OSError as error:
        raise McukitError(
            "flash-failed", f"PlatformIO can't be started: {error.strerror or error}", where=command[0]
        ) from error
    try:
        log, _ = process.communicate(timeout=seconds)
        code: int | None = process.returncode
    except subprocess.TimeoutExpired:
        log, code = _end(process), None
    except BaseException:
        _end(process)
        raise
    return code, _COLOURS.sub("", log.decode(errors="replace"))


def _end(process: subprocess.Popen[bytes]) -> bytes:
    """Ends the process group: with time to leave a programmer in order, then without. Gives what was printed."""
    _signal(process, signal.SIGTERM)
    try:
        return process.communicate(timeout=_END_SECONDS)[0]
    except subprocess.TimeoutExpired:
        _signal(process, signal.SIGKILL)
        return process.communicate()[0]


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def _excerpt(log: str) -> str:
    """The lines that tell what went wrong, or else the last ones."""
    lines = [line.rstrip()[:300] for line in log.splitlines() if line.strip()]
    telling = [line for line in lines if _TELLING.search(line)]
    shown = telling[:_SHOWN_LINES] or lines[-_SHOWN_LINES:]
    return ":\n" + "\n".join(shown) if shown else ""
