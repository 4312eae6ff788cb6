# SPDX-License-Identifier: Apache-2.0
"""Runs a built program in a scratch folder, with a time limit, and says clearly how it failed if it did."""

from __future__ import annotations

__all__ = ["Execution", "execute"]

import os
import signal
import struct
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mcukit.emulation.build import Program
from mcukit.emulation.counting import InstructionCounts, plugin_arguments, read_counts
from mcukit.emulation.cycles import CycleModel, cycle_arguments
from mcukit.emulation.faults import describe_fault
from mcukit.emulation.toolchain import find_tool
from mcukit.emulation.trace import TraceRecord, read_trace
from mcukit.errors import McukitError

_RESULT = struct.Struct("<3I")

# Exit codes of firmware/ports/port.h.
_EXIT_IO, _EXIT_LAYER, _EXIT_FAULT = 64, 65, 66


@dataclass(frozen=True)
class Execution:
    """What one run left behind.

    outputs: (N, output_bytes). arena_bytes: as the model's header says. stack_bytes: of the deepest
    inference; 0 on the host.
    """

    outputs: NDArray[np.int8]
    trace: list[TraceRecord] | None
    counts: InstructionCounts | None
    arena_bytes: int
    stack_bytes: int


def execute(
    program: Program,
    inputs: NDArray[np.int8],
    *,
    trace: bool,
    timeout_seconds: float,
    cycles: CycleModel | None = None,
) -> Execution:
    """Runs the program on inputs (N, input_bytes). cycles: what they are to be estimated of, if at all.

    Raises McukitError "emulation-timeout", "unsupported-tool", or "emulation-failed" with the end of what the
    program printed.
    """
    with tempfile.TemporaryDirectory(prefix="mcukit-") as scratch:
        folder = Path(scratch)
        inputs.tofile(folder / "input.bin")
        _run(program, folder, timeout_seconds, cycles)
        count, arena_bytes, stack_bytes = _RESULT.unpack((folder / "result.bin").read_bytes())
        outputs = np.fromfile(folder / "output.bin", np.int8)
        expected = len(inputs) * program.sources.output_bytes
        if count != len(inputs) or outputs.size != expected:
            progress = f"{count} of {len(inputs)} inputs and {outputs.size} of {expected} bytes"
            raise _failed(program, f"it handled {progress}")
        return Execution(
            outputs.reshape(len(inputs), program.sources.output_bytes),
            read_trace(folder / "trace.bin") if trace else None,
            read_counts(folder / "counts.txt") if program.elf is not None else None,
            arena_bytes,
            stack_bytes,
        )


def _run(program: Program, folder: Path, timeout_seconds: float, cycles: CycleModel | None) -> None:
    try:
        done = subprocess.run(
            _command(program, folder, cycles),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=timeout_seconds,
            # Leaks can't happen without malloc, and looking for them fails in debuggers and some containers.
            env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0"},
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise McukitError(
            "emulation-timeout",
            f"the model was still running on {program.target.name} after {timeout_seconds:g} seconds",
            where=program.sources.name,
            hint="allow more time, or give fewer inputs",
        ) from error
    if done.returncode == 1 and program.target.emulated and "plugin" in done.stderr:
        raise McukitError(
            "unsupported-tool",
            f"{program.target.emulator} does not load mcukit's plugin: {done.stderr.strip()[-500:]}",
            hint="use QEMU 7.2, with plugins enabled, as Debian 12 has it",
        )
    if done.returncode != 0:
        raise _failed(program, _reason(program, folder, done.returncode), done.stdout + done.stderr)


def _command(program: Program, folder: Path, cycles: CycleModel | None) -> list[str]:
    if program.elf is None:
        return [str(program.path)]
    target = program.target
    timing = cycle_arguments(cycles, program.path, program.elf, folder / "costs.bin") if cycles else ""
    return [
        str(find_tool(target.emulator)),
        *target.emulator_machine,
        *("-display", "none", "-monitor", "none", "-serial", "none"),
        *("-semihosting-config", "enable=on,target=native"),
        *("-kernel", str(program.path)),
        *plugin_arguments(program.elf, "counts.txt", timing),
    ]


def _reason(program: Program, folder: Path, exit_code: int) -> str:
    if exit_code == _EXIT_IO:
        return "it could not read its input or write its output: is the disk full?"
    if exit_code == _EXIT_LAYER:
        return f"it announced a layer beyond its {program.sources.layers}"
    if exit_code == _EXIT_FAULT and program.elf is not None and (folder / "fault.bin").exists():
        return describe_fault((folder / "fault.bin").read_bytes(), program.elf)
    if exit_code < 0:
        return f"it was ended by {signal.Signals(-exit_code).name}"
    return f"it ended with exit code {exit_code}"


def _failed(program: Program, reason: str, text: str = "") -> McukitError:
    tail = text.strip()[-2000:]
    return McukitError(
        "emulation-failed",
        f"the model failed on {program.target.name}: {reason}" + (f"\n{tail}" if tail else ""),
        where=program.sources.name,
    )
