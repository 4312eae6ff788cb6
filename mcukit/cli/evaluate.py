# SPDX-License-Identifier: Apache-2.0
"""`mcukit evaluate`: accuracy on labelled data, beside the float network's."""

from __future__ import annotations

__all__ = ["evaluate"]

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mcukit.cli.options import PATH, json_option, on_option, warn_if_uncalibrated
from mcukit.cli.output import Output
from mcukit.errors import McukitError

if TYPE_CHECKING:
    from mcukit.calibration.data import Dataset
    from mcukit.workflow.build import Build
    from mcukit.workflow.evaluate import Evaluation


@click.command()
@click.argument("build", type=PATH)
@click.option("--data", type=PATH, metavar="NPZ", help="Arrays x (raw inputs) and y (class numbers).")
@click.option("--images", type=PATH, metavar="DIR", help="A folder of images, with --labels.")
@click.option("--labels", type=PATH, metavar="CSV", help="Lines of image,class for --images.")
@on_option(", the NumPy reference, or the interpreter tflm", default="host", show_default=True)
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Use only the first N images.")
@json_option
def evaluate(  # noqa: PLR0917 - one parameter per option
    build: Path, data: Path | None, images: Path | None, labels: Path | None, on: str, limit: int | None, as_json: bool
) -> int:
    """Measures top-1 and top-5 accuracy of BUILD on labelled data, and the float network's on the same."""
    source = _source(data, images, labels)
    from mcukit.report.terminal import evaluation_view
    from mcukit.workflow.build import load_build
    from mcukit.workflow.evaluate import evaluate as run

    output = Output(as_json)
    loaded = load_build(build)
    dataset = _dataset(loaded, source, labels)
    if limit is not None:
        kept = None if dataset.labels is None else dataset.labels[:limit]
        dataset = replace(dataset, values=dataset.values[:limit], labels=kept, names=dataset.names[:limit])
    with output.progress() as progress:
        evaluation = run(loaded, dataset, on, progress=progress)
    warn_if_uncalibrated(output, loaded.calibrated)
    fields = {**evaluation_fields(evaluation), "calibrated": loaded.calibrated}
    output.result(fields, lambda: evaluation_view(evaluation))
    return 0


def evaluation_fields(evaluation: Evaluation) -> dict[str, Any]:
    """As JSON has them: percentages from 0 to 100, errors of the outputs against float under ST's names."""
    return {
        "n": evaluation.n,
        "target": evaluation.target,
        "top1": evaluation.top1,
        "top5": evaluation.top5,
        "float_top1": evaluation.float_top1,
        "float_top5": evaluation.float_top5,
        "agreement": evaluation.agreement,
        "error_metrics": None if evaluation.error is None else asdict(evaluation.error),
    }


def _source(data: Path | None, images: Path | None, labels: Path | None) -> Path:
    """The file or folder that was given. Raises McukitError "usage" for anything but one of both."""
    hint = "give --data NPZ, or --images DIR with --labels CSV"
    source = images if data is None else data
    if source is None or (data is not None and images is not None):
        message = "no labelled data" if source is None else "--data and --images can't be given together"
        raise McukitError("usage", message, where="mcukit evaluate", hint=hint, exit_code=2)
    if (images is None) != (labels is None):
        message = "--images needs --labels" if labels is None else "--labels belongs to --images"
        raise McukitError("usage", message, where="mcukit evaluate", hint=hint, exit_code=2)
    return source


def _dataset(build: Build, source: Path, labels: Path | None) -> Dataset:
    from mcukit.calibration.data import load_inputs
    from mcukit.graph.graph import map_shape

    return load_inputs(source, map_shape(build.model.input.shape), labels=labels)
