# SPDX-License-Identifier: Apache-2.0
"""Finds the compilers and emulators of this computer and compiles C with them."""

from __future__ import annotations

__all__ = ["CODE_FLAGS", "compile_objects", "find_tool", "install_command", "link", "publish", "require_tools"]

import hashlib
import os
import re
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

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

# Where the text that follows is from: # 12 "kernels.c" 2
_LINE_MARKER = re.compile(r'^# \d+ "([^"]*)".*\n', re.MULTILINE)

_COMPILE_SECONDS = 300
_OBJECT_CACHE_BYTES = 256 * 1024 * 1024
_MOST_REMEMBERED = 4096


@dataclass(frozen=True)
class _Compiled:
    """An object, and digests of the files that the compiler read for it, by path."""

    path: Path
    digests: Mapping[str, str]


# By command. Preprocessing the whole runtime again takes longer than compiling a model; reading it does not.
_compiled: dict[tuple[str, ...], _Compiled] = {}


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
    # Files are read once for all sources; the next call reads them again.
    compile_one = partial(_object, compiler, flags, preprocessor, folder, cache(_digest))
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


def _object(
    compiler: Path,
    flags: Sequence[str],
    preprocessor: Sequence[str],
    folder: Path,
    digest: Callable[[str], str],
    source: Path,
) -> Path:
    """The object of one source, cached by its preprocessed text, where defines have taken effect."""
    identity = (str(compiler), str(compiler.stat().st_mtime_ns), *flags)
    command = (*identity, *preprocessor, str(folder), str(source))
    known = _compiled.get(command)
    if known and known.path.exists() and all(digest(file) == was for file, was in known.digests.items()):
        _touch(known.path)
        return known.path
    text = _run(compiler, (*flags, *preprocessor, "-E", str(source)), where=source.name)
    # Only what is compiled counts, not where it stands.
    key = hashlib.sha256("\0".join((*identity, _LINE_MARKER.sub("", text))).encode()).hexdigest()[:32]
    final = folder / f"{key}.o"
    if final.exists():
        _touch(final)
    else:
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            fresh = Path(scratch) / "fresh.o"
            _run(compiler, (*flags, *preprocessor, "-c", str(source), "-o", str(fresh)), where=source.name)
            publish(fresh, final)
    if len(_compiled) >= _MOST_REMEMBERED:
        _compiled.clear()
    # What the compiler defines by itself is from files called <built-in> and the like; with -g it names its folder too.
    files = {file for file in _LINE_MARKER.findall(text) if not file.startswith("<") and not file.endswith("//")}
    _compiled[command] = _Compiled(final, {file: digest(file) for file in files})
    return final


def _digest(file: str) -> str:
    """Of a file's content; of a file that can't be read one that never occurs again."""
    try:
        return hashlib.sha256(Path(file).read_bytes()).hexdigest()
    except OSError:
        return secrets.token_hex()


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


def _run(compiler: Path, arguments: Sequence[str], *, where: str) -> str:
    """What the compiler wrote to its standard output."""
    environment = {**os.environ, "LC_ALL": "C"}
    try:
        done = subprocess.run(
            [str(compiler), *arguments],
            capture_output=True,
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
    return done.stdout


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
