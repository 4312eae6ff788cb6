# SPDX-License-Identifier: Apache-2.0
"""The process that runs native interpreters, started by `mcukit.tflite.process`: it alone may crash.

    python _worker.py

It reads folders from its standard input, one a line. For each a child of its own, which has the interpreter loaded
already, answers what is in the folder: request.json, model.tflite and, if the request is to run it, inputs.npy. The
child leaves there results.npz, which has one array (N, ...) per tensor asked for, keyed by its index, and at the end
an empty file named done; what the interpreter says of its trouble is in the file log. Then the worker writes a line
with the child's exit code, negative for a signal. The file imports nothing of mcukit, so that it runs wherever the
interpreter does.
"""

from __future__ import annotations

__all__ = ["main"]

import contextlib
import importlib
import json
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.generic]
Run = Callable[[Array], dict[int, Array]]
"""Runs the model on one sample (1, ...) and returns the tensors that were asked for by their index."""

_LITERT = "ai_edge_litert.interpreter"
_TFLM = "tflite_micro.runtime"


def main() -> None:
    for line in sys.stdin:
        folder = Path(line.removesuffix("\n"))
        request: dict[str, Any] = json.loads((folder / "request.json").read_text())
        # Loading takes far longer than forking. If it fails, the child says so.
        with contextlib.suppress(ImportError):
            importlib.import_module(_LITERT if request["task"] == "litert" else _TFLM)
        child = os.fork()
        if child == 0:
            _answer_and_exit(folder, request)
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


def _answer_and_exit(folder: Path, request: dict[str, Any]) -> None:
    """What a child does, away from the streams of its parent."""
    exit_code = 1
    try:
        os.chdir(folder)
        nowhere = os.open(os.devnull, os.O_RDWR)
        log = os.open("log", os.O_WRONLY | os.O_CREAT)
        for stream, own in enumerate((nowhere, nowhere, log)):
            os.dup2(own, stream)
        _answer(folder, request)
        exit_code = 0
    finally:
        if exit_code:
            traceback.print_exc()
        sys.stderr.flush()
        os._exit(exit_code)


def _answer(folder: Path, request: dict[str, Any]) -> None:
    model = (folder / "model.tflite").read_bytes()
    if request["task"] == "arena":
        _tflm_interpreter(model, request, preserve=False).print_allocations()
    else:
        run = _litert(model, request) if request["task"] == "litert" else _tflm(model, request)
        inputs = np.load(folder / "inputs.npy", allow_pickle=False)
        samples = [run(inputs[index : index + 1]) for index in range(len(inputs))]
        tensors = {str(index): _batch([sample[index] for sample in samples]) for index in samples[0]}
        np.savez(folder / "results.npz", **tensors)  # type: ignore[arg-type]
    (folder / "done").touch()


def _batch(values: list[Array]) -> Array:
    """A tensor's values for all samples, (N, ...): a batch dimension that isn't there is added."""
    return np.concatenate(values) if values[0].shape[:1] == (1,) else np.stack(values)


def _tflm_interpreter(model: bytes, request: dict[str, Any], *, preserve: bool) -> Any:
    """An interpreter with the smallest of the arenas in the request that it can be made with."""
    from tflite_micro import runtime

    mode = runtime.InterpreterConfig
    config = mode.kPreserveAllTensors if preserve else mode.kAllocationRecording
    sizes: list[int] = request["arena_bytes"]
    for size in sizes[:-1]:
        try:
            return runtime.Interpreter.from_bytes(model, arena_size=size, intrepreter_config=config)
        except RuntimeError:
            continue
    return runtime.Interpreter.from_bytes(model, arena_size=sizes[-1], intrepreter_config=config)


def _tflm(model: bytes, request: dict[str, Any]) -> Run:
    tensors: list[int] = request["tensors"]
    preserve: bool = request["intermediate"]
    interpreter = _tflm_interpreter(model, request, preserve=preserve)

    def run(sample: Array) -> dict[int, Array]:
        interpreter.set_input(sample, 0)
        interpreter.invoke()
        if preserve:
            return {index: np.array(interpreter.GetTensor(index, 0)["tensor_data"]) for index in tensors}
        return {index: np.array(interpreter.get_output(position)) for position, index in enumerate(tensors)}

    return run


def _litert(model: bytes, request: dict[str, Any]) -> Run:
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    tensors: list[int] = request["tensors"]
    interpreter = Interpreter(
        model_content=model,
        experimental_op_resolver_type=OpResolverType.BUILTIN_REF,
        experimental_preserve_all_tensors=True,
        num_threads=1,
    )
    interpreter.allocate_tensors()
    input_index = interpreter.get_input_details()[0]["index"]

    def run(sample: Array) -> dict[int, Array]:
        interpreter.set_tensor(input_index, sample)
        interpreter.invoke()
        return {index: np.array(interpreter.get_tensor(index)) for index in tensors}

    return run


if __name__ == "__main__":
    main()
