# SPDX-License-Identifier: Apache-2.0
"""Runs models in TFLite Micro's own interpreter, compiled for the host: the truth for mcukit's arithmetic.

It comes with the extra `mcukit[tflm]`. The interpreter runs in a process of its own, which takes half a second to
start for the first model.
"""

from __future__ import annotations

__all__ = ["ArenaUse", "measure_arena", "run_tflm", "run_tflm_tensors", "smallest_arena"]

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from mcukit.errors import McukitError
from mcukit.tflite.process import Array, call_worker, require_package, run_samples
from mcukit.tflite.reader import read_tflite
from mcukit.tflite.schema import Model
from mcukit.tflite.writer import write_tflite

T = TypeVar("T")

DEFAULT_ARENA_BYTES = 1 << 20
_LARGEST_ARENA_BYTES = 1 << 28
_ARENA_GROWTH = 4
_ARENA_ALIGNMENT = 16
_TIMEOUT_SECONDS = 600.0
_WHERE = "the model to run"


@dataclass(frozen=True)
class ArenaUse:
    """What a model allocates in the arena of TFLite Micro's interpreter, as it reports it itself, in bytes.

    total: head and tail.
    head: the plan of activations and scratch buffers, the same on every target.
    tail: what persists: structures and per-channel parameters. They hold pointers, which are 64 bits wide
        here, so that a 32-bit target needs less.

    While it prepares the model the interpreter needs some more for a moment; `smallest_arena` is what to
    reserve.
    """

    total: int
    head: int
    tail: int


def run_tflm(
    model: bytes, inputs: Array, *, arena_bytes: int = DEFAULT_ARENA_BYTES, timeout: float = _TIMEOUT_SECONDS
) -> tuple[Array, ...]:
    """The outputs of a .tflite file for `inputs` (N, ...): one array (N, ...) for each output of the model.

    The model has one input whose batch is 1; `inputs` has its type. The arena grows from `arena_bytes` as
    needed.

    Raises McukitError "missing-package", "invalid-input", "interpreter-failed", "interpreter-crashed", and
    what `read_tflite` raises.
    """
    parsed = _prepare(model)
    request = {"task": "tflm", "tensors": list(parsed.main.outputs), "intermediate": False}
    results = _with_growing_arena(
        arena_bytes, lambda sizes: run_samples(parsed, model, inputs, request | sizes, timeout=timeout)
    )
    return tuple(results[index] for index in parsed.main.outputs)


def run_tflm_tensors(
    model: bytes,
    inputs: Array,
    *,
    tensors: Sequence[int] | None = None,
    arena_bytes: int = DEFAULT_ARENA_BYTES,
    timeout: float = _TIMEOUT_SECONDS,
) -> dict[int, Array]:
    """Like `run_tflm`, but all tensors that operators compute, or `tensors` of them, by tensor index."""
    parsed = _prepare(model)
    wanted = _known(parsed, parsed.computed_tensors if tensors is None else tensors)
    request = {"task": "tflm", "tensors": wanted, "intermediate": True}
    # Where tensors are to stay, a memory plan of the file's own, in which they make way for each other, can't be kept.
    kept = write_tflite(replace(parsed, metadata=())) if parsed.metadata else model
    return _with_growing_arena(
        arena_bytes, lambda sizes: run_samples(parsed, kept, inputs, request | sizes, timeout=timeout)
    )


def measure_arena(model: bytes, *, timeout: float = _TIMEOUT_SECONDS) -> ArenaUse:
    """What the interpreter allocates for a .tflite file. Raises McukitError like `run_tflm`."""
    _prepare(model)
    log = _with_growing_arena(DEFAULT_ARENA_BYTES, lambda sizes: _allocate(model, sizes, timeout))
    sizes = dict(re.findall(r"Arena allocation (total|head|tail) (\d+) bytes", log))
    if len(sizes) != 3:
        raise McukitError(
            "interpreter-failed",
            "TFLite Micro's interpreter didn't report its arena in the form that mcukit knows",
            where=_WHERE,
            hint="install the version of tflite-micro that mcukit was tested with",
        )
    return ArenaUse(total=int(sizes["total"]), head=int(sizes["head"]), tail=int(sizes["tail"]))


def smallest_arena(model: bytes, *, timeout: float = _TIMEOUT_SECONDS) -> int:
    """The smallest arena, a multiple of 16 bytes, in which the interpreter runs a .tflite file on this host.

    Found by trying, each time in a new process; the result is always the same. Pointers are 64 bits wide
    here: a 32-bit target needs less.

    Raises McukitError like `run_tflm`.
    """
    least = -(-measure_arena(model, timeout=timeout).total // _ARENA_ALIGNMENT)
    if _suffices(model, least * _ARENA_ALIGNMENT, timeout):
        return least * _ARENA_ALIGNMENT
    step = 1
    while not _suffices(model, (least + step) * _ARENA_ALIGNMENT, timeout):
        least += step
        step *= 2
    too_small, enough = least, least + step
    while enough - too_small > 1:
        middle = (too_small + enough) // 2
        if _suffices(model, middle * _ARENA_ALIGNMENT, timeout):
            enough = middle
        else:
            too_small = middle
    return enough * _ARENA_ALIGNMENT


def _suffices(model: bytes, arena_bytes: int, timeout: float) -> bool:
    try:
        _allocate(model, {"arena_bytes": [arena_bytes]}, timeout)
    except McukitError:
        # measure_arena has refused models that nothing suffices for; this bounds the search all the same.
        if arena_bytes > _LARGEST_ARENA_BYTES:
            raise
        return False
    return True


def _allocate(model: bytes, sizes: dict[str, list[int]], timeout: float) -> str:
    with TemporaryDirectory(prefix="mcukit-") as folder:
        return call_worker(Path(folder), model, {"task": "arena"} | sizes, timeout=timeout)


def _with_growing_arena(arena_bytes: int, call: Callable[[dict[str, list[int]]], T]) -> T:
    """What `call` returns with the sizes of arena to try, from `arena_bytes` on.

    The worker goes on to the next size itself where the interpreter says that an arena is too small.
    Sometimes it crashes instead; then a new worker starts with the next size.
    """
    if not 0 < arena_bytes <= _LARGEST_ARENA_BYTES:
        message, hint = f"the arena can't have {arena_bytes} bytes", f"give at most {_LARGEST_ARENA_BYTES}"
        raise McukitError("invalid-input", message, hint=hint)
    sizes = [arena_bytes]
    while sizes[-1] < _LARGEST_ARENA_BYTES:
        sizes.append(min(sizes[-1] * _ARENA_GROWTH, _LARGEST_ARENA_BYTES))
    for tried in range(len(sizes) - 1):
        try:
            return call({"arena_bytes": sizes[tried:]})
        except McukitError as error:
            if error.problems[0].code != "interpreter-crashed":
                raise
    return call({"arena_bytes": sizes[-1:]})


def _prepare(data: bytes) -> Model:
    """Refuses what isn't a model before native code that believes everything sees it."""
    require_package("tflite_micro", "tflm", prerelease=True)
    return read_tflite(data, _WHERE)


def _known(model: Model, tensors: Sequence[int]) -> list[int]:
    count = len(model.main.tensors)
    for index in tensors:
        if not 0 <= index < count:
            raise McukitError("invalid-input", f"there is no tensor {index}, the model has {count}", where=_WHERE)
    return list(tensors)
