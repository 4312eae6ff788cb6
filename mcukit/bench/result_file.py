# SPDX-License-Identifier: Apache-2.0
"""Measurements as files: JSON to compare them with later, CSV for spreadsheets."""

from __future__ import annotations

__all__ = ["check_writable", "load_bench", "result_csv", "result_fields", "save_bench", "save_csv"]

import csv
import io
import json
import os
import tempfile
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from mcukit.bench.client import Banner
from mcukit.bench.result import BenchResult, Clock, Estimate, LayerTicks, Ticks
from mcukit.errors import McukitError, Problem
from mcukit.json_object import JsonObject, read_json

SCHEMA = 1
KIND = "mcukit-bench"

_MOST = (1 << 64) - 1
_ANY_TEXT = r"(?s).{0,10000}"
_BETWEEN = "(between layers)"
_TOTAL = "(inference)"


def result_fields(result: BenchResult) -> dict[str, Any]:
    """As JSON has it. What follows from other fields is there for readers, and not read back."""
    estimate = result.estimate
    return {
        "kind": KIND,
        "model": result.model,
        "port": result.port,
        "banner": asdict(result.banner),
        "clock": result.clock.value,
        "clock_meaning": result.clock.meaning(result.ticks_per_second),
        "ticks_per_second": result.ticks_per_second,
        "runs": result.runs,
        "warm_up": result.warm_up,
        "total": _ticks_fields(result, result.total),
        "between_layers": result.between_layers,
        "estimate": None if estimate is None else asdict(estimate),
        "layers": [
            {
                "name": layer.name,
                "op": layer.op,
                "macs": layer.macs,
                **_ticks_fields(result, layer.ticks),
                "share": result.share(layer.ticks.median),
                "emulator_instructions": layer.instructions,
            }
            for layer in result.layers
        ],
    }


def save_bench(result: BenchResult, path: Path) -> None:
    """Writes a file for `load_bench`. Raises McukitError "unwritable-output"; then there is no half of it."""
    text = json.dumps({"schema": SCHEMA, **result_fields(result)}, indent=2, ensure_ascii=True, allow_nan=False)
    _write(path, text + "\n")


def load_bench(path: Path) -> BenchResult:
    """Raises McukitError "unreadable-file", or "invalid-file" with all that is wrong with it."""
    hint = "give a file that `mcukit bench --out` has written"
    try:
        content = read_json(path)
    except McukitError as error:
        problem = error.problems[0]
        raise McukitError(problem.code, problem.message, where=problem.where, hint=hint) from error
    if not isinstance(content, dict) or content.get("kind") != KIND:
        raise McukitError("invalid-file", "this is no measurement of mcukit", where=f"{path}: kind", hint=hint)
    try:
        return _read(JsonObject(content, "", []))
    except McukitError as error:
        problems = [Problem(p.code, p.message, f"{path}: {p.where}", hint) for p in error.problems]
        raise McukitError.collect(problems) from error


def result_csv(result: BenchResult) -> str:
    """A row for each layer, for what lies between them, and for the whole inference; empty where there is no figure."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    head = ("layer", "operator", "macs", "ticks_median", "ticks_min", "ticks_max", "microseconds", "instructions")
    writer.writerow((*head, "share", "emulator_instructions"))
    for layer in result.layers:
        figures = _figures(result, layer.ticks.median)
        spread = (layer.ticks.median, layer.ticks.minimum, layer.ticks.maximum)
        writer.writerow((layer.name, layer.op, layer.macs, *spread, *figures, layer.instructions))
    between = result.between_layers
    writer.writerow((_BETWEEN, None, None, between, None, None, *_figures(result, between), None))
    total, estimate = result.total, result.estimate
    macs = sum(layer.macs for layer in result.layers)
    figures = _figures(result, total.median)
    counted = None if estimate is None else estimate.instructions
    writer.writerow((_TOTAL, None, macs, total.median, total.minimum, total.maximum, *figures, counted))
    return stream.getvalue()


def save_csv(result: BenchResult, path: Path) -> None:
    """Writes `result_csv`. Errors as save_bench."""
    _write(path, result_csv(result))


def check_writable(path: Path) -> None:
    """Refuses a file that could not be written, before minutes go into what goes into it."""
    folder = path.parent
    if path.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        reason = "it is a folder" if path.is_dir() else "its folder is not there, or not yours to write to"
        raise _unwritable(path, reason)


def _figures(result: BenchResult, ticks: int) -> tuple[str | None, int | None, str]:
    """Microseconds, instructions and share."""
    microseconds = result.microseconds(ticks)
    shown = None if microseconds is None else f"{microseconds:.3f}"
    return shown, result.instructions(ticks), f"{result.share(ticks):.6f}"


def _ticks_fields(result: BenchResult, ticks: Ticks) -> dict[str, Any]:
    return {
        "ticks": asdict(ticks),
        "microseconds": result.microseconds(ticks.median),
        "instructions": result.instructions(ticks.median),
    }


def _read(content: JsonObject) -> BenchResult:
    content.integer("schema", SCHEMA, SCHEMA)
    content.text("kind", KIND, f'"{KIND}"')
    clocks = [clock.value for clock in Clock]
    clock = content.text("clock", "|".join(clocks), f"one of {', '.join(clocks)}")
    banner = content.nested("banner")
    # Results of firmware that did not say which kernels its layers have are good for comparison all the same.
    names = [name for name in Banner.__dataclass_fields__ if name != "layer_kernels" or banner.has(name)]
    fields = {name: banner.text(name, _ANY_TEXT) for name in names}
    result = partial(
        BenchResult,
        model=content.text("model", _ANY_TEXT),
        port=content.text("port", _ANY_TEXT),
        banner=Banner(**fields),
        ticks_per_second=content.integer("ticks_per_second", 1, (1 << 32) - 1),
        runs=content.integer("runs", 1, _MOST),
        warm_up=content.integer("warm_up", 0, _MOST),
        total=_read_ticks(content.nested("total")),
        layers=tuple(_read_layer(layer) for layer in content.objects("layers")),
        estimate=None if content.value("estimate", "an object or null") is None else _read_estimate(content),
    )
    content.raise_problems()
    return result(clock=Clock(clock))


def _read_estimate(content: JsonObject) -> Estimate:
    estimate = content.nested("estimate")
    target, compiler = estimate.text("target", _ANY_TEXT), estimate.text("compiler", _ANY_TEXT)
    return Estimate(target, compiler, estimate.integer("instructions", 0, _MOST))


def _read_layer(layer: JsonObject) -> LayerTicks:
    unknown = layer.value("emulator_instructions", "an integer or null") is None
    return LayerTicks(
        name=layer.text("name", _ANY_TEXT),
        op=layer.text("op", _ANY_TEXT),
        macs=layer.integer("macs", 0, _MOST),
        ticks=_read_ticks(layer),
        instructions=None if unknown else layer.integer("emulator_instructions", 0, _MOST),
    )


def _read_ticks(holder: JsonObject) -> Ticks:
    ticks = holder.nested("ticks")
    return Ticks(*(ticks.integer(name, 0, _MOST) for name in ("median", "minimum", "maximum")))


def _write(path: Path, text: str) -> None:
    """In one step, so that no reader ever sees half of it."""
    try:
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", newline="", dir=path.parent, prefix=f".{path.name}-", delete=False
        ) as stream:
            temporary = Path(stream.name)
            try:
                stream.write(text)
                stream.close()
                temporary.chmod(0o644)
                temporary.replace(path)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
    except OSError as error:
        raise _unwritable(path, error.strerror or str(error)) from error


def _unwritable(path: Path, reason: str) -> McukitError:
    return McukitError(
        "unwritable-output", f"the result can't be written: {reason}", where=str(path), hint="choose another file"
    )
