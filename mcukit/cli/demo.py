# SPDX-License-Identifier: Apache-2.0
"""`mcukit demo`: the whole way from a trained network to proven bytes, without a model of one's own."""

from __future__ import annotations

__all__ = ["demo"]

import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

import click

from mcukit.cli.emulate import emulation_fields
from mcukit.cli.evaluate import evaluation_fields
from mcukit.cli.options import PATH, json_option
from mcukit.cli.output import Output, Progress
from mcukit.errors import McukitError, Problem, unwritable_output
from mcukit.quantities import counted
from mcukit.report.blocks import Block, Column, Facts, Line, Table
from mcukit.report.terminal import difference_text
from mcukit.report.units import ABSENT, count, percent, size

if TYPE_CHECKING:
    from mcukit.workflow.build import Build
    from mcukit.workflow.emulate import Emulation
    from mcukit.workflow.evaluate import Evaluation
    from mcukit.workflow.verify import Verification

_CALIBRATION_IMAGES = 200
_EVALUATION_IMAGES = 500
_SEED = 1
_COMPARED_INPUTS = 2
_EXECUTORS = ("host", "cortex-m4", "riscv32", "tflm")
_EMULATED = "cortex-m4"
_MISSING = frozenset({"missing-tool", "missing-package", "unsupported-tool"})
"""Problems that say an executor is not installed, as opposed to wrong."""


@dataclass(frozen=True)
class _Attempt:
    """An executor compared with the reference, or what it lacks to run."""

    target: str
    verification: Verification | None
    missing: Problem | None


@dataclass(frozen=True)
class _Files:
    """What the demo writes, all below one folder."""

    model: Path
    calibration: Path
    evaluation: Path
    build: Path


@dataclass(frozen=True)
class _Demo:
    """The results. A measurement is None where its tool is missing; `missing` then says what to install."""

    files: _Files
    build: Build
    evaluation: Evaluation
    emulation: Emulation | None
    attempts: tuple[_Attempt, ...]
    missing: tuple[Problem, ...]

    @property
    def succeeded(self) -> bool:
        """Whether something ran and all that ran was equal."""
        ran = [attempt.verification.equal for attempt in self.attempts if attempt.verification]
        return bool(ran) and all(ran)


@click.command()
@click.option(
    "-o", "--output", "folder", type=PATH, default=Path("mcukit-demo"), show_default=True, metavar="DIR",
    help="Where the model, its data and the build go.",
)  # fmt: skip
@json_option
def demo(folder: Path, as_json: bool) -> int:
    """Quantizes a bundled network, measures its accuracy, and proves that all targets compute the same bytes.

    Takes less than a minute. Targets whose tools are missing are named, with the command that installs them.
    """
    output = Output(as_json)
    with output.progress() as progress:
        result = _run(folder, progress)
    for problem in result.missing:
        output.warn(problem)
    output.result(_fields(result), lambda: _view(result))
    return 0 if result.succeeded else 1


def _run(folder: Path, progress: Progress) -> _Demo:
    from mcukit.calibration.data import Dataset, load_inputs
    from mcukit.calibration.preprocessing import Preprocessing
    from mcukit.demo import SCALE
    from mcukit.graph.graph import map_shape
    from mcukit.workflow.evaluate import evaluate
    from mcukit.workflow.quantize import QuantizeOptions, quantize

    files = _write_inputs(folder, progress)
    options = QuantizeOptions(calibration=files.calibration, preprocessing=Preprocessing(SCALE))
    build = quantize(files.model, files.build, options, progress)
    dataset: Dataset = load_inputs(files.evaluation, map_shape(build.model.input.shape))
    attempts = []
    for step, target in enumerate(_EXECUTORS):
        progress("verify", step, len(_EXECUTORS))
        attempts.append(_attempt(build, target, dataset))
    progress("verify", len(_EXECUTORS), len(_EXECUTORS))
    # Without a compiler the reference tells the same accuracy, because the bytes are the same.
    compiled = attempts[0].missing is None
    evaluation = evaluate(build, dataset, "host" if compiled else "reference", progress=progress)
    emulation = _emulate(build, dataset, attempts)
    missing = tuple(attempt.missing for attempt in attempts if attempt.missing)
    return _Demo(files, build, evaluation, emulation, tuple(attempts), missing)


def _write_inputs(folder: Path, progress: Progress) -> _Files:
    import numpy as np

    from mcukit.demo import demo_data, demo_model_path

    files = _Files(
        model=folder / demo_model_path().name,
        calibration=folder / "calibration.npz",
        evaluation=folder / "evaluation.npz",
        build=folder / "build",
    )
    progress("draw images", 0, 2)
    calibration, _ = demo_data("calibration", _CALIBRATION_IMAGES, _SEED)
    progress("draw images", 1, 2)
    images, labels = demo_data("evaluation", _EVALUATION_IMAGES, _SEED)
    progress("draw images", 2, 2)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(demo_model_path(), files.model)
        np.savez(files.calibration, x=calibration)
        np.savez(files.evaluation, x=images, y=labels)
    except OSError as error:
        raise unwritable_output("the demo's files", folder, error) from error
    return files


def _attempt(build: Build, target: str, dataset: Any) -> _Attempt:
    from mcukit.workflow.verify import verify

    inputs = build.quantize_inputs(dataset.values[:_COMPARED_INPUTS])
    try:
        return _Attempt(target, verify(build, target, inputs), None)
    except McukitError as error:
        first = error.problems[0]
        if first.code not in _MISSING:
            raise
        return _Attempt(target, None, Problem(first.code, f"not run: {first.message}", target, first.hint))


def _emulate(build: Build, dataset: Any, attempts: list[_Attempt]) -> Emulation | None:
    """Costs of one inference; None where the attempt to verify on this target told that a tool is missing."""
    from mcukit.workflow.emulate import emulate

    if any(attempt.target == _EMULATED and attempt.missing for attempt in attempts):
        return None
    return emulate(build, _EMULATED, build.quantize_inputs(dataset.values[:1]))


def _fields(result: _Demo) -> dict[str, Any]:
    emulation = None if result.emulation is None else emulation_fields(result.emulation)
    return {
        "equal": result.succeeded,
        "report": result.build.report,
        "evaluation": evaluation_fields(result.evaluation),
        "emulation": emulation,
        "verification": [
            {
                "target": attempt.target,
                "ran": attempt.verification is not None,
                **({} if attempt.verification is None else asdict(attempt.verification)),
            }
            for attempt in result.attempts
        ],
        "files": {name: str(path) for name, path in vars(result.files).items()},
    }


def _view(result: _Demo) -> list[Block]:
    title = Line("handwritten digits, 96x96x3, int8", "title")
    columns = (
        Column("executor"),
        Column("same bytes as the reference"),
        Column("inputs", right=True),
        Column("layers", right=True),
    )
    table = Table(columns, tuple(_row(attempt) for attempt in result.attempts))
    blocks: list[Block] = [title, Facts(_figures(result)), Line(""), table]
    blocks += [Line(""), Line("files", "title"), Facts(_file_facts(result.files))]
    model, evaluation, build = (
        quote(str(path)) for path in (result.files.model, result.files.evaluation, result.files.build)
    )
    commands = (
        Line(f"  mcukit inspect {model}"),
        Line(f"  mcukit evaluate {build} --data {evaluation}"),
        Line(f"  mcukit emulate {build} --on cortex-m7"),
        Line(f"  mcukit verify {build} --on riscv32 --data {evaluation}"),
        Line("  mcukit quantize YOUR_MODEL.onnx --calibration YOUR_DATA.npz --scale 1/255"),
    )
    return [*blocks, Line(""), Line("to try next", "title"), *commands]


def _figures(result: _Demo) -> tuple[tuple[str, str], ...]:
    evaluation, report, emulation = result.evaluation, result.build.report, result.emulation
    code = None if emulation is None or emulation.code_bytes is None else emulation.code_bytes
    facts = [
        ("accuracy, float", f"{percent(evaluation.float_top1)} of {counted(evaluation.n, 'image')}"),
        ("accuracy, int8", percent(evaluation.top1)),
        ("same answer as float", percent(evaluation.agreement)),
        ("SRAM for maps", size(report["arena_bytes"])),
        ("flash for weights", size(report["weight_bytes"])),
    ]
    if emulation is not None:
        facts += [
            (f"flash for code, {emulation.target}", size(code)),
            (f"stack, {emulation.target}", size(emulation.stack_bytes)),
            (f"instructions, {emulation.target}", count(emulation.instructions)),
        ]
    return tuple(facts)


def _row(attempt: _Attempt) -> tuple[str, str, str, str]:
    verification = attempt.verification
    if verification is None:
        message = attempt.missing.message if attempt.missing else ABSENT
        return attempt.target, message, ABSENT, ABSENT
    equal = "equal"
    if not verification.equal:
        difference = verification.first_difference
        equal = f"NOT EQUAL: {difference_text(difference)}" if difference else "NOT EQUAL"
    return attempt.target, equal, count(verification.inputs), count(verification.layers_compared)


def _file_facts(files: _Files) -> tuple[tuple[str, str], ...]:
    return (
        ("network", str(files.model)),
        ("calibration images", str(files.calibration)),
        ("evaluation images", str(files.evaluation)),
        ("build: C, .tflite, report.json", str(files.build)),
        ("report to open in a browser", str(files.build / "report.html")),
    )
