# SPDX-License-Identifier: Apache-2.0
"""Runs native interpreters in a process of their own, so that their crashes and endless loops stay there."""

from __future__ import annotations

__all__ = ["Array", "call_worker", "require_package", "run_samples"]

import atexit
import contextlib
import importlib.util
import json
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mcukit.errors import McukitError
from mcukit.tflite import _worker
from mcukit.tflite.schema import Model

Array = NDArray[np.generic]

_SHOWN_LINES = 8
_WHERE = "the model to run"


class _Worker:
    """A worker process, which answers one request after the other: most of what one takes would be starting it.

    file: the program. ended: whether it ended or was ended, so that the next request needs a new worker.
    """

    def __init__(self, file: str) -> None:
        self.file = file
        self.ended = False
        self._owner = os.getpid()
        self._process = subprocess.Popen(
            # -P keeps the worker's own folder from standing before the packages that it imports.
            [sys.executable, "-P", file],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            # A process that has threads can't be forked safely.
            env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            # A group of its own, so that its child can be ended with it.
            start_new_session=True,
        )

    def serves(self, file: str) -> bool:
        """Whether it runs that program and answers this process, not one that this was forked from."""
        return not self.ended and self.file == file and self._owner == os.getpid()

    def answer(self, folder: Path, timeout: float) -> tuple[int, str]:
        """The exit code of the child that answered, or of the worker if that ended itself, and what it logged.

        Raises TimeoutError after `timeout` seconds.
        """
        try:
            line = self._exchange(f"{folder}\n".encode(), timeout)
        except BaseException:
            self.end(kill=True)
            raise
        if not line:
            return self.end(), ""
        return int(line), (folder / "log").read_text(encoding="utf-8", errors="replace")

    def _exchange(self, request: bytes, timeout: float) -> bytes:
        requests, answers = self._process.stdin, self._process.stdout
        if requests is None or answers is None:
            raise ValueError("the worker was started without pipes")
        with contextlib.suppress(BrokenPipeError):
            requests.write(request)
            requests.flush()
        if not select.select([answers], [], [], timeout)[0]:
            raise TimeoutError
        return answers.readline()

    def end(self, *, kill: bool = False) -> int:
        """Waits for its end, which comes when nothing more is asked; the exit code."""
        self.ended = True
        if kill:
            os.killpg(self._process.pid, signal.SIGKILL)
        with contextlib.suppress(BrokenPipeError), self._process:
            pass
        return self._process.returncode


_workers: list[_Worker] = []
_one_at_a_time = threading.Lock()


def _ask_worker(folder: Path, timeout: float) -> tuple[int, str]:
    with _one_at_a_time:
        if not (_workers and _workers[-1].serves(_worker.__file__)):
            _end_worker()
            _workers.append(_Worker(_worker.__file__))
        return _workers[-1].answer(folder, timeout)


@atexit.register
def _end_worker() -> None:
    for worker in _workers:
        if worker.serves(worker.file):
            worker.end()
    _workers.clear()


def run_samples(
    model: Model, data: bytes, inputs: Array, request: Mapping[str, Any], *, timeout: float
) -> dict[int, Array]:
    """Runs the model file `data`, which is `model`, on each of the samples `inputs` (N, ...).

    The result is the tensors that the request asks for by index, each (N, ...): those without a batch
    dimension of 1 get one in front.

    Raises McukitError "invalid-input" if the inputs don't fit the model, and what `call_worker` raises.
    """
    _check_inputs(model, inputs)
    with TemporaryDirectory(prefix="mcukit-") as name:
        folder = Path(name)
        np.save(folder / "inputs.npy", np.ascontiguousarray(inputs), allow_pickle=False)
        call_worker(folder, data, request, timeout=timeout)
        with np.load(folder / "results.npz", allow_pickle=False) as results:
            return {int(index): results[index] for index in results.files}


def _check_inputs(model: Model, inputs: Array) -> None:
    graph = model.main
    if len(graph.inputs) != 1:
        message = f"the model has {len(graph.inputs)} inputs; only models with one can be run"
        raise McukitError("invalid-input", message, where=_WHERE)
    tensor = graph.tensors[graph.inputs[0]]
    if tensor.shape[:1] != (1,):
        message = f"the input has the shape {list(tensor.shape)}; its first dimension, the batch, has to be 1"
        raise McukitError("invalid-input", message, where=_WHERE)
    sizes = ", ".join(["N", *map(str, tensor.shape[1:])])
    fits = inputs.ndim == len(tensor.shape) and inputs.shape[1:] == tensor.shape[1:] and len(inputs) > 0
    if not fits or inputs.dtype != tensor.type.dtype:
        raise McukitError(
            "invalid-input",
            f"the inputs are {inputs.dtype} {list(inputs.shape)}",
            where=_WHERE,
            hint=f"the model takes {tensor.type.name} [{sizes}] with N at least 1",
        )


def call_worker(folder: Path, model: bytes, request: Mapping[str, Any], *, timeout: float) -> str:
    """Lets the worker answer `request` about `model` in `folder`; what it wrote to stderr.

    Raises McukitError "interpreter-crashed", or "interpreter-failed" if the interpreter refuses the model or
    takes longer than `timeout` seconds.
    """
    (folder / "model.tflite").write_bytes(model)
    (folder / "request.json").write_text(json.dumps(dict(request)))
    try:
        exit_code, log = _ask_worker(folder, timeout)
    except TimeoutError:
        raise _failure("interpreter-failed", request, f"took more than {timeout:g} seconds", "") from None
    if exit_code < 0:
        raise _failure("interpreter-crashed", request, f"crashed (signal {-exit_code})", log)
    if exit_code or not (folder / "done").exists():
        raise _failure("interpreter-failed", request, "refused the model", log)
    return log


def _failure(code: str, request: Mapping[str, Any], what: str, log: str) -> McukitError:
    engine = "LiteRT" if request["task"] == "litert" else "TFLite Micro"
    lines = [line for line in log.splitlines() if line.strip() and not line.startswith((" ", "Traceback"))]
    # Each arena that was tried repeats what the ones before said.
    said = "\n".join(list(dict.fromkeys(lines))[:_SHOWN_LINES])
    return McukitError(
        code,
        f"{engine}'s interpreter {what}" + (f"; it said:\n{said}" if said else ""),
        where=_WHERE,
        hint="the model may use an operator or a type that this interpreter doesn't have",
    )


def require_package(module: str, extra: str, *, prerelease: bool = False) -> None:
    """Raises McukitError "missing-package" if `module`, which the extra `extra` brings, isn't installed."""
    if importlib.util.find_spec(module) is None:
        raise McukitError(
            "missing-package",
            f"the Python package '{module}' isn't installed",
            hint=f"pip install {'--pre ' if prerelease else ''}'mcukit[{extra}]'",
        )
