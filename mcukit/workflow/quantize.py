# SPDX-License-Identifier: Apache-2.0
"""From a model file to a build folder."""

from __future__ import annotations

__all__ = ["Progress", "QuantizeOptions", "quantize"]

import hashlib
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

import mcukit
from mcukit.boards import Board, load_board
from mcukit.calibration.data import load_inputs
from mcukit.calibration.float_model import FloatModel
from mcukit.calibration.preprocessing import IDENTITY, Preprocessing
from mcukit.calibration.ranges import DEFAULT_RANGES, RANGE_METHODS
from mcukit.calibration.settings import default_calibration
from mcukit.calibration.statistics import collect_statistics
from mcukit.calibration.synthetic import synthetic_inputs
from mcukit.emulation.reference import run_reference
from mcukit.errors import McukitError
from mcukit.export.c_code import generate_c
from mcukit.export.names import file_stem
from mcukit.export.tflite import build_tflite
from mcukit.export.tflm_files import tflm_files
from mcukit.graph.graph import Graph, map_shape
from mcukit.graph.serialize import save_graph
from mcukit.importers.load import load_model
from mcukit.passes import run_passes
from mcukit.planning.layers import plan_layers
from mcukit.precision.calibrated import quantize_calibrated
from mcukit.quantized.integer import IntegerModel
from mcukit.quantized.lower import lower
from mcukit.report.content import TfliteFacts, report_content
from mcukit.report.html import render_html
from mcukit.report.metrics import ErrorMetrics, compare
from mcukit.tflite.micro import measure_arena
from mcukit.tflite.writer import write_tflite
from mcukit.workflow.build import Build, json_bytes, load_build, write_build
from mcukit.workflow.measure import Measurement, measure
from mcukit.workflow.progress import Progress, no_progress

SYNTHETIC_IMAGES = 32
ERROR_IMAGES = 8
"""Images over which the error of every map against float is measured for the report."""


@dataclass(frozen=True)
class QuantizeOptions:
    """calibration: .npz, .npy or a folder of images; None takes what lies beside the model, else synthetic images.

    preprocessing: None takes that of mcukit.toml beside the model, else none.
    ranges: one of RANGE_METHODS, by default DEFAULT_RANGES. board: id or TOML file. sram, flash: budgets in bytes that go before the board's.
    calibration_limit: use only the first images. bias_correction: whether biases make up for rounded weights.
    """

    calibration: Path | None = None
    preprocessing: Preprocessing | None = None
    ranges: str | None = None
    board: str | None = None
    sram: int | None = None
    flash: int | None = None
    calibration_limit: int | None = None
    bias_correction: bool = True


@dataclass(frozen=True, eq=False)
class _Calibration:
    """values: raw images. calibrated: whether they are the user's."""

    values: npt.NDArray[np.generic]
    preprocessing: Preprocessing
    ranges: str
    calibrated: bool
    bias_correction: bool


def quantize(
    model: Path,
    output: Path | None = None,
    options: QuantizeOptions | None = None,
    progress: Progress | None = None,
) -> Build:
    """Quantizes an ONNX or TFLite file to int8 and writes a build folder, by default build/NAME.

    Raises McukitError for everything wrong with the model, the data or the budget; then nothing is written.
    """
    chosen = options or QuantizeOptions()
    report = progress or no_progress
    report("import", 0, 1)
    imported = load_model(model)
    graph = run_passes(imported)
    report("import", 1, 1)
    chosen = _with_settings(model, chosen)
    board = load_board(chosen.board) if chosen.board else None
    errors: Mapping[str, ErrorMetrics] = {}
    float_graph = None if _is_quantized(graph) else graph
    if float_graph is None:
        preprocessing, calibrated, integer = chosen.preprocessing or IDENTITY, True, lower(graph)
    else:
        calibration = _calibration_data(graph, chosen)
        preprocessing, calibrated = calibration.preprocessing, calibration.calibrated
        integer, errors = _quantize_float(graph, calibration, report)
    plan = plan_layers(integer)
    budget = _budget(chosen, board)
    _check_budget(integer, plan.arena_bytes, budget)
    report("export", 0, 1)
    name = file_stem(integer.name)
    tflite_model = build_tflite(integer.graph)
    tflite = write_tflite(tflite_model)
    tflm_arena = _tflm_arena(tflite)
    c_files = generate_c(integer, plan, preprocessing)
    measurement = _measure(integer, c_files, board)
    content = report_content(
        integer, plan, board=board, budget=budget, calibrated=calibrated, errors=errors,
        tflite=TfliteFacts(len(tflite), tflm_arena), measurement=measurement,
    )  # fmt: skip
    texts = {f"model/{file}": text for file, text in c_files.items()}
    texts |= {f"tflite/{file}": text for file, text in tflm_files(name, tflite_model, tflite, tflm_arena).items()}
    files = {file: text.encode() for file, text in texts.items()}
    files[f"tflite/{name}.tflite"] = tflite
    files["model/quantized.npz"] = _graph_bytes(integer.graph)
    if float_graph is not None:
        files["model/float.npz"] = _graph_bytes(float_graph)
    files["plan.json"] = json_bytes(plan.to_json())
    files["report.json"] = json_bytes(content)
    files["report.html"] = render_html(content, plan).encode()
    folder = output or Path("build") / name
    write_build(folder, files, _manifest(model, chosen, preprocessing, calibrated))
    report("export", 1, 1)
    return load_build(folder)


def _with_settings(model: Path, options: QuantizeOptions) -> QuantizeOptions:
    """Fills what the user left open from mcukit.toml or calibration.npz beside the model."""
    settings = default_calibration(model)
    return replace(
        options,
        calibration=options.calibration or settings.calibration,
        preprocessing=options.preprocessing or settings.preprocessing,
        ranges=options.ranges or settings.ranges,
        board=options.board or settings.board,
        sram=options.sram if options.sram is not None else settings.sram,
        flash=options.flash if options.flash is not None else settings.flash,
    )


def _is_quantized(graph: Graph) -> bool:
    return graph.tensors[graph.inputs[0]].quantization is not None


def _calibration_data(graph: Graph, options: QuantizeOptions) -> _Calibration:
    shape = map_shape(graph.tensors[graph.inputs[0]].shape)
    method = options.ranges or DEFAULT_RANGES
    if method not in RANGE_METHODS:
        raise McukitError(
            "wrong-option", f"there is no range method '{method}'", where="--ranges",
            hint=f"choose one of {', '.join(RANGE_METHODS)}", exit_code=2,
        )  # fmt: skip
    preprocessing = options.preprocessing or IDENTITY
    if options.calibration is None:
        if options.preprocessing is None:
            preprocessing = Preprocessing(1 / 255)
        values = synthetic_inputs(shape, SYNTHETIC_IMAGES).values
        return _Calibration(values, preprocessing, method, False, options.bias_correction)
    dataset = load_inputs(options.calibration, shape)
    return _Calibration(dataset.values[: options.calibration_limit], preprocessing, method, True, options.bias_correction)


def _quantize_float(
    graph: Graph, calibration: _Calibration, report: Progress
) -> tuple[IntegerModel, Mapping[str, ErrorMetrics]]:
    """Calibrates, quantizes and measures the error of every map on a few calibration images."""
    inputs = calibration.preprocessing.apply(calibration.values)
    float_model = FloatModel(graph)
    statistics = collect_statistics(float_model, inputs, lambda done, total: report("calibrate", done, total))
    integer = quantize_calibrated(
        float_model, statistics, inputs, ranges=calibration.ranges, bias_correction=calibration.bias_correction,
        progress=lambda done, total: report("choose ranges", done, total),
    )  # fmt: skip
    sample = inputs[:ERROR_IMAGES]
    real = float_model.run_nhwc(sample)
    source = integer.input.quantization
    if source is None:
        raise ValueError("the input is not quantized")
    run = run_reference(integer, source.quantize(sample), keep_maps=True)
    errors = {}
    for tensor in integer.graph.maps():
        if tensor.name in real and tensor.quantization is not None:
            found = tensor.quantization.dequantize(run.maps[tensor.name])
            errors[tensor.name] = compare(real[tensor.name], found)
    return integer, errors


def _budget(options: QuantizeOptions, board: Board | None) -> dict[str, int | None]:
    return {
        "sram": options.sram if options.sram is not None else board.sram_bytes if board else None,
        "flash": options.flash if options.flash is not None else board.flash_bytes if board else None,
    }


def _check_budget(model: IntegerModel, arena_bytes: int, budget: Mapping[str, int | None]) -> None:
    """Refuses a network that can't fit, with the operator that needs most."""
    sram, flash = budget["sram"], budget["flash"]
    if sram is not None and arena_bytes > sram:
        layer = max(model.layers, key=lambda item: model.graph.tensors[item.output].elements
                    + sum(model.graph.tensors[name].elements for name in item.inputs))  # fmt: skip
        raise McukitError(
            "budget-exceeded",
            f"it needs {arena_bytes:,} bytes of SRAM layer by layer and the budget is {sram:,}: "
            f"{arena_bytes - sram:,} bytes too many",
            where=f"largest at node '{layer.name}' ({layer.node.operator.op_name})",
            hint="choose a board with more SRAM, a smaller input, or a larger --sram",
        )
    if flash is not None and model.weight_bytes > flash:
        raise McukitError(
            "budget-exceeded",
            f"its weights take {model.weight_bytes:,} bytes of flash and the budget is {flash:,}",
            hint="choose a board with more flash or a smaller network",
        )


def _measure(model: IntegerModel, c_files: Mapping[str, str], board: Board | None) -> Measurement | None:
    """Counts on the board's core; None without a board or without the tools, which `mcukit emulate` then names."""
    if board is None:
        return None
    try:
        return measure(model, c_files, board.emulation_target)
    except McukitError as error:
        if error.problems[0].code != "missing-tool":
            raise
        return None


def _tflm_arena(tflite: bytes) -> int | None:
    """The arena as TFLM's interpreter reports it; None where that is not installed."""
    try:
        return measure_arena(tflite).total
    except McukitError as error:
        if error.problems[0].code != "missing-package":
            raise
        return None


def _graph_bytes(graph: Graph) -> bytes:
    with tempfile.TemporaryDirectory(prefix="mcukit-") as folder:
        path = Path(folder) / "graph.npz"
        save_graph(graph, path)
        return path.read_bytes()


def _manifest(
    model: Path, options: QuantizeOptions, preprocessing: Preprocessing, calibrated: bool
) -> dict[str, object]:
    return {
        "mcukit": mcukit.__version__,
        "model": {"file": model.name, "sha256": hashlib.sha256(model.read_bytes()).hexdigest()},
        "calibrated": calibrated,
        "calibration": None if options.calibration is None else _digest(options.calibration),
        "preprocessing": preprocessing.to_json(),
        "options": {
            "ranges": options.ranges or DEFAULT_RANGES,
            "board": options.board,
            "sram": options.sram,
            "flash": options.flash,
            "calibration_limit": options.calibration_limit,
            "bias_correction": options.bias_correction,
        },
    }


def _digest(path: Path) -> dict[str, object]:
    """Name and hash of the calibration data, without its place on this machine."""
    digest = hashlib.sha256()
    for file in sorted(path.iterdir()) if path.is_dir() else [path]:
        if file.is_file():
            digest.update(file.name.encode())
            digest.update(hashlib.sha256(file.read_bytes()).digest())
    return {"name": path.name, "sha256": digest.hexdigest()}
