# SPDX-License-Identifier: Apache-2.0
"""Finds the compilers and emulators of this computer and compiles C with them."""

from __future__ import annotations

__all__ = ["CODE_FLAGS", "compile_objects", "find_tool", "install_command", "link", "publish", "require_tools"]

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from mcukit.emulation.object_key import ObjectKeys
from mcukit.emulation.targets import Target
from mcukit.errors import McukitError, Problem
from mcukit.resources import cache_dir

_INSTALL = {
    "cc": "apt-get install gcc libc6-dev",
    "arm-none-eabi-gcc": "apt-get install gcc-arm-none-eabi libnewlib-arm-none-eabi",
    "riscv64-unknown-elf-gcc": "apt-get install gcc-riscv64-unknown-elf picolibc-riscv64-unknown-elf",
    "qemu-system-arm": "apt-get install qemu-system-arm",
    "qemu-system-riscv32": "apt-get install qemu-system-misc",
}

# What compilers say when the C library that belongs to them is not installed.
_NO_C_LIBRARY = re.compile(r"(string|stdint|stdio)\.h: No such file|read spec file|cannot find (-lc\b|crt1)")

_STRICT = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic")
# -O2 and not the size-saving -Os: kernels are a few KiB of loops in which all the time is spent, and only -O2
# schedules, aligns and inlines them as a product would. -O3 unrolls for more flash and little gain.
CODE_FLAGS = ("-O2", "-ffunction-sections", "-fdata-sections", "-fno-common")

_COMPILE_SECONDS = 300
_OBJECT_CACHE_BYTES = 256 * 1024 * 1024


def find_tool(name: str) -> Path:
    """The path of a command. Raises McukitError "missing-tool" with the command that installs it."""
    path = shutil.which(name)
    if path is None:
        raise McukitError(
            "missing-tool", f"{name} is not installed", hint=f"on Debian and Ubuntu: {install_command(name)}"
        )
    return Path(path)


def require_tools(*names: str) -> None:
    """Checks commands before minutes are spent. Raises one McukitError "missing-tool" for all that are missing."""
    problems: list[Problem] = []
    for name in names:
        try:
            find_tool(name)
        except McukitError as error:
            problems.extend(error.problems)
    if problems:
        raise McukitError.collect(problems)


def compile_objects(
    sources: Sequence[Path],
    target: Target,
    *,
    includes: Sequence[Path] = (),
    defines: Sequence[str] = (),
    extra_flags: Sequence[str] = (),
) -> tuple[Path, ...]:
    """Compiles C files under strict warnings to objects in the cache, each only if it was not compiled before.

    defines: "NAME" or "NAME=VALUE". extra_flags: after the usual ones, so that they override them.
    Raises McukitError "missing-tool", or "compile-failed" with what the compiler said.
    """
    compiler = find_tool(target.compiler)
    flags = (*target.machine_flags, *_STRICT, *CODE_FLAGS, *extra_flags)
    preprocessor = (*(f"-I{folder}" for folder in includes), *(f"-D{define}" for define in defines))
    folder = cache_dir() / "objects"
    folder.mkdir(exist_ok=True)
    keys = ObjectKeys(includes, defines, (str(compiler), str(compiler.stat().st_mtime_ns), *flags))
    compile_one = partial(_object, compiler, (*flags, *preprocessor), folder, keys)
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        objects = tuple(pool.map(compile_one, sources))
    _shrink(folder, keep=set(objects))
    return objects


def link(objects: Sequence[Path], output: Path, target: Target, *, extra_flags: Sequence[str] = ()) -> Path:
    """Links objects to a program. Raises McukitError "missing-tool", "too-large" or "compile-failed"."""
    compiler = find_tool(target.compiler)
    files = (*map(str, objects), "-o", str(output))
    _run(compiler, (*target.machine_flags, *extra_flags, "-Wl,--gc-sections", *files), where=output.name)
    return output


def publish(temporary: Path, final: Path) -> None:
    """Moves a finished file into a cache folder, in one step, so that no reader ever sees half of it."""
    temporary.replace(final)


def _object(compiler: Path, flags: Sequence[str], folder: Path, keys: ObjectKeys, source: Path) -> Path:
    """The object of one source, from the cache if it is there."""
    final = folder / f"{keys.key(source)}.o"
    if final.exists():
        _touch(final)
    else:
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            fresh = Path(scratch) / "fresh.o"
            _run(compiler, (*flags, "-c", str(source), "-o", str(fresh)), where=source.name)
            publish(fresh, final)
    return final


def _touch(path: Path) -> None:
    """Marks a cached file as used. Losing this to another process costs a compilation and no more."""
    try:
        os.utime(path)
    except OSError:
        return


def _shrink(folder: Path, *, keep: set[Path]) -> None:
    """Deletes the objects that were not used for longest until the cache has its size again."""
    entries = []
    for path in folder.glob("*.o"):
        try:
            status = path.stat()
        except FileNotFoundError:
            continue
        entries.append((status.st_mtime_ns, status.st_size, path))
    excess = sum(size for _, size, _ in entries) - _OBJECT_CACHE_BYTES
    for _, size, path in sorted(entries):
        if excess <= 0:
            break
        if path not in keep:
            path.unlink(missing_ok=True)
            excess -= size


def _run(compiler: Path, arguments: Sequence[str], *, where: str) -> None:
    environment = {**os.environ, "LC_ALL": "C"}
    try:
        done = subprocess.run(
            [str(compiler), *arguments],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            timeout=_COMPILE_SECONDS,
            env=environment,
            stdin=subprocess.DEVNULL,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise McukitError(
            "compile-failed", f"{compiler.name} did not finish in {_COMPILE_SECONDS} seconds", where=where
        ) from error
    if done.returncode != 0:
        raise _failure(compiler, done.stderr, where)


def _failure(compiler: Path, diagnostics: str, where: str) -> McukitError:
    if _NO_C_LIBRARY.search(diagnostics):
        return McukitError(
            "missing-tool",
            f"the C library of {compiler.name} is not installed",
            hint=f"on Debian and Ubuntu: {install_command(compiler.name)}",
        )
    overflow = re.search(r"region `(\w+)' overflowed by (\d+) bytes", diagnostics)
    if overflow:
        return McukitError(
            "too-large",
            f"the model exceeds the emulated machine's {overflow[1]} memory by {overflow[2]} bytes",
            where=where,
            hint="run it on target host, or on riscv32, which has the most memory",
        )
    return McukitError(
        "compile-failed",
        f"{compiler.name} failed:\n{_excerpt(diagnostics)}",
        where=where,
        hint="the first error usually causes the others",
    )


def _excerpt(diagnostics: str, lines: int = 20) -> str:
    """The first lines: the first error causes the others."""
    return "\n".join(line[:300] for line in diagnostics.strip().splitlines()[:lines])


def install_command(name: str) -> str:
    """What installs a compiler or an emulator on Debian and Ubuntu."""
    return _INSTALL.get(name, f"apt-get install {name}")
