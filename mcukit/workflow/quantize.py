# SPDX-License-Identifier: Apache-2.0
"""From a model file to a build folder."""

from __future__ import annotations

__all__ = ["QuantizeOptions", "quantize"]

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

import mcukit
from mcukit.boards import Board, list_boards, load_board
from mcukit.calibration.preprocessing import IDENTITY
from mcukit.calibration.ranges import DEFAULT_RANGES
from mcukit.emulation.cycles import known_cycle_model
from mcukit.emulation.measure import Measurement, measure
from mcukit.errors import McukitError
from mcukit.export.board_script import board_script
from mcukit.export.c_code import generate_c
from mcukit.export.known_answers import known_answers
from mcukit.export.names import file_stem
from mcukit.export.platformio import platformio_files
from mcukit.export.project_model import ProjectModel
from mcukit.graph.graph import Graph
from mcukit.graph.serialize import graph_bytes
from mcukit.importers.load import load_model
from mcukit.passes import run_passes
from mcukit.planning.check import check_plan
from mcukit.planning.choose import SCHEDULES, Planned
from mcukit.planning.costs import load_costs
from mcukit.planning.dataflow import Dataflow
from mcukit.planning.kernel_choice import choose_kernels
from mcukit.planning.lean_kernels import plan_that_fits
from mcukit.planning.plan import Plan
from mcukit.planning.plan_file import plan_text
from mcukit.planning.planner import plan_of
from mcukit.quantized.integer import IntegerModel, other_kernels, with_kernels
from mcukit.quantized.kernel_sets import KernelSet
from mcukit.quantized.lower import lower
from mcukit.report.content import report_content
from mcukit.report.html import render_html
from mcukit.workflow.bits_request import BitsRequest, bits_request, given_bits
from mcukit.workflow.budget import Budget
from mcukit.workflow.build import Build, check_output, load_build, write_build
from mcukit.workflow.calibrate import Quantized, quantize_float
from mcukit.workflow.kernels import chosen_kernels, costs_for
from mcukit.workflow.options import QuantizeOptions, with_settings
from mcukit.workflow.output_folder import json_bytes
from mcukit.workflow.plan import check_plan_option, make_plan
from mcukit.workflow.progress import Progress, no_progress
from mcukit.workflow.sketch import sketch
from mcukit.workflow.tflite_files import tflite_files


def quantize(
    model: Path,
    output: Path | None = None,
    options: QuantizeOptions | None = None,
    progress: Progress | None = None,
) -> Build:
    """Quantizes an ONNX or TFLite file to int8 and writes a build folder, by default build/NAME.

    Raises McukitError for everything wrong with the model, the data or the budget; then nothing is written.
    """
    report = progress or no_progress
    report("import", 0, 1)
    graph = run_passes(load_model(model))
    report("import", 1, 1)
    folder = output or Path("build") / file_stem(graph.name)
    check_output(folder)
    chosen = with_settings(model, options or QuantizeOptions())
    check_plan_option(chosen)
    given = given_bits(chosen)
    board = load_board(chosen.board) if chosen.board else None
    kernels = chosen_kernels(chosen, board)
    budget = Budget.of(chosen, board)
    is_mixed = chosen.bits is not None or given is not None
    report("plan", 0, 1)
    # What fewer bits need is known only when they are chosen.
    planned = None if is_mixed else _plan_early(graph, chosen, board, budget, kernels)
    report("plan", 1, 1)
    quantized = _quantize(graph, chosen, report, bits_request(chosen, given, board, budget, kernels))
    budget.check_flash(quantized.model.weight_bytes, None)
    if planned is None:
        planned = _plan_for(quantized, chosen, board, budget)
    report("export", 0, 1)
    quantized, files = _fitting_files(quantized, planned, chosen, board, budget)
    if quantized.model.graph is not graph:
        files["model/float.npz"] = graph_bytes(graph)
    write_build(folder, files, _manifest(model, chosen, quantized))
    report("export", 1, 1)
    return load_build(folder)


def _plan_early(
    graph: Graph, options: QuantizeOptions, board: Board | None, budget: Budget, kernels: KernelSet
) -> Planned | None:
    """The plan, before minutes are spent on calibration: it depends on shapes, and on no value.

    None where synthetic values lead nowhere; then the real ones decide.
    """
    try:
        model = sketch(graph, kernels, costs_for(board, kernels))
    except McukitError:
        return None
    budget.check_flash(model.weight_bytes, None)
    return make_plan(model, options, board, budget)


def _plan_for(
    quantized: Quantized, options: QuantizeOptions, board: Board | None, budget: Budget, *, choose: bool = True
) -> Planned:
    """The plan of a network whose bits are known; those of patches were made for the stages of one.

    choose: whether layers get the kernels that take fewest instructions, or those of the network's own set.
    """
    target = costs_for(board, quantized.model.kernels)
    costs, stages, model = load_costs(target), quantized.stages, quantized.model
    if choose:
        model = choose_kernels(model, costs)
    if stages is None or model.branches is not None:
        return make_plan(model, options, board, budget)

    def place(model: IntegerModel) -> Plan:
        plan = plan_of(Dataflow(model), stages, regions=budget.regions, weight_regions=budget.weight_regions)
        budget.check_sram(plan)
        return plan

    model, plan = plan_that_fits(model, costs, place)
    return Planned(plan, "patches", None, target, other_kernels(model))


def _quantize(graph: Graph, options: QuantizeOptions, report: Progress, request: BitsRequest) -> Quantized:
    """An int8 network keeps the integers it came with; a float one is calibrated."""
    if graph.tensors[graph.inputs[0]].quantization is not None:
        given = request.given
        if options.bits is not None or not given.precision.is_int8 or given.branching is not None:
            raise McukitError(
                "unsupported-quantization",
                "the network is quantized already, and its integers stay as they are",
                where="--plan" if options.bits is None else "--bits",
                hint="give the float network that it was made from",
            )
        return Quantized(lower(graph, request.kernels), options.preprocessing or IDENTITY, calibrated=True, errors={})
    return quantize_float(graph, options, report, request)


def _fitting_files(
    quantized: Quantized, planned: Planned, options: QuantizeOptions, board: Board | None, budget: Budget
) -> tuple[Quantized, dict[str, bytes]]:
    """The network with the kernels of its plan, and its files; where code does not fit, with kernels of its own set.

    Those of other sets are more code.
    """
    try:
        return _planned_files(quantized, planned, options, board, budget)
    except McukitError as error:
        if error.problems[0].code != "budget-exceeded" or not planned.kernels or options.plan not in SCHEDULES:
            raise
        try:
            own = _plan_for(quantized, options, board, budget, choose=False)
            return _planned_files(quantized, own, options, board, budget)
        except McukitError:
            raise error from None


def _planned_files(
    quantized: Quantized, planned: Planned, options: QuantizeOptions, board: Board | None, budget: Budget
) -> tuple[Quantized, dict[str, bytes]]:
    model = with_kernels(quantized.model, quantized.model.kernels, planned.kernels)
    # Of two forms of tiles, kernels of different sets may share fewer constants.
    budget.check_flash(model.weight_bytes, None)
    check_plan(Dataflow(model), planned.plan)
    quantized = replace(quantized, model=model)
    return quantized, _files(quantized, planned, options, board, budget)


def _files(
    quantized: Quantized, planned: Planned, options: QuantizeOptions, board: Board | None, budget: Budget
) -> dict[str, bytes]:
    """Everything that follows from the integer model and its plan, by name in the build folder."""
    model, plan = quantized.model, planned.plan
    tflite = tflite_files(model, tiled=options.tflite_patches)
    c_files = generate_c(model, plan, quantized.preprocessing)
    measurement = _measure(model, c_files, board)
    if measurement is not None:
        budget.check_flash(measurement.weight_bytes, measurement.code_bytes)
    content = report_content(
        model,
        planned,
        board=board,
        budget={"sram": budget.sram_for(plan), "flash": budget.flash},
        calibrated=quantized.calibrated,
        errors=quantized.errors,
        tflite=tflite.facts,
        classes=quantized.classes,
        measurement=measurement,
    )
    texts = {f"model/{file}": text for file, text in c_files.items()}
    texts["report.html"] = render_html(content, plan, model)
    files = {file: text.encode() for file, text in texts.items()} | dict(tflite.files)
    files["model/quantized.npz"] = graph_bytes(model.graph)
    if model.branches:
        files["model/narrow.npz"] = graph_bytes(model.branches.graph)
    files |= _firmware(model, plan, c_files, board)
    if board is not None:
        files[f"linker/{board.id}.ld"] = board_script(board).encode()
    files["plan.json"] = plan_text(plan, model).encode()
    files["report.json"] = json_bytes(content)
    return files


def _firmware(model: IntegerModel, plan: Plan, c_files: Mapping[str, str], board: Board | None) -> dict[str, bytes]:
    """The firmware project, for the board or else for all that come with mcukit and have enough memory."""
    project = ProjectModel(
        name=file_stem(model.name),
        c_files={file: text.encode() for file, text in c_files.items()},
        arenas=plan.arenas,
        weight_bytes=model.weight_bytes,
        input_bytes=model.input.elements,
        kernels=model.kernels,
        answers=known_answers(model),
    )
    files = platformio_files(project, [board] if board else list_boards(), only_fitting=board is None)
    return {f"firmware/{path}": content for path, content in files.items()}


def _measure(model: IntegerModel, c_files: Mapping[str, str], board: Board | None) -> Measurement | None:
    """Counts on the board's core; None without a board, where nothing emulates its core, or without the tools."""
    if board is None or board.emulation_target is None:
        return None
    try:
        return measure(model, file_stem(model.name), c_files, board.emulation_target, known_cycle_model(board))
    except McukitError as error:
        if error.problems[0].code != "missing-tool":
            raise
        return None


def _manifest(model: Path, options: QuantizeOptions, quantized: Quantized) -> dict[str, object]:
    return {
        "mcukit": mcukit.__version__,
        "model": {"file": model.name, "sha256": hashlib.sha256(model.read_bytes()).hexdigest()},
        "kernels": quantized.model.kernels.value,
        "calibrated": quantized.calibrated,
        "calibration": None if options.calibration is None else _digest(options.calibration),
        "preprocessing": quantized.preprocessing.to_json(),
        "options": {
            "ranges": options.ranges or DEFAULT_RANGES,
            "bias_correction": options.bias_correction,
            "reconstruct": options.reconstruct,
            "board": options.board,
            "sram": options.sram,
            "flash": options.flash,
            "calibration_limit": options.calibration_limit,
            "plan": Path(options.plan).name,
            "bits": None if options.bits is None else asdict(options.bits),
            "push_rows": options.push_rows,
            "tflite_patches": options.tflite_patches,
            "kernels": options.kernels,
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
