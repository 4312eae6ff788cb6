# SPDX-License-Identifier: Apache-2.0
"""`mcukit explore`: what bits and plans are worth a choice."""

from __future__ import annotations

__all__ = ["explore"]

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mcukit.cli.options import PATH, SIZE, json_option, preprocessing_from
from mcukit.cli.output import Output
from mcukit.errors import unwritable_output

if TYPE_CHECKING:
    from mcukit.workflow.explore import Choice


@click.command()
@click.argument("model", type=PATH)
@click.option("--calibration", type=PATH, metavar="DATA", help="Typical inputs: .npz, .npy or image folder.")
@click.option("--scale", metavar="S", help="The network takes (x * S - M) / D. S may be 1/255.")
@click.option("--mean", metavar="M", help="One number, or one per channel: 0.485,0.456,0.406.")
@click.option("--std", metavar="D", help="As --mean.")
@click.option("--sram", type=SIZE, metavar="N", help="Leaves out what needs more.")
@click.option("--max-error", type=float, default=0.1, metavar="E", help="What fewer bits may add to the error: 0.1.")
@click.option("-o", "--output", "folder", type=PATH, metavar="DIR", help="Writes a plan.json for each choice.")
@json_option
def explore(  # noqa: PLR0913, PLR0917 - one parameter per option
    model: Path,
    calibration: Path | None,
    scale: str | None,
    mean: str | None,
    std: str | None,
    sram: int | None,
    max_error: float,
    folder: Path | None,
    as_json: bool,
) -> int:
    """Searches bits of maps and weights together with plans of MODEL: all choices that no other one beats."""
    preprocessing = preprocessing_from(scale, mean, std)
    from mcukit.report.choices import choices_view
    from mcukit.workflow.bits import BitsOptions
    from mcukit.workflow.explore import choice_plan
    from mcukit.workflow.explore import explore as run
    from mcukit.workflow.options import QuantizeOptions

    output = Output(as_json)
    options = QuantizeOptions(
        calibration=calibration, preprocessing=preprocessing, sram=sram, bits=BitsOptions(max_error=max_error)
    )
    with output.progress() as progress:
        found = run(model, options, progress)
    # Numbers of the same length: lists of files then are in their order.
    digits = len(str(len(found.choices)))
    numbers = [f"{number:0{digits}}" for number in range(1, len(found.choices) + 1)]
    files = [] if folder is None else [folder / f"choice_{number}.json" for number in numbers]
    for file, choice in zip(files, found.choices, strict=False):
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(choice_plan(choice), encoding="utf-8")
        except OSError as error:
            raise unwritable_output("the plan", file.parent, error) from error
    fields = {
        "name": found.name,
        "target": found.target,
        "bitops_int8": found.bitops,
        "choices": [_fields(choice) for choice in found.choices],
        "plans": [str(file) for file in files],
    }
    output.result(fields, lambda: choices_view(found, files))
    return 0


def _fields(choice: Choice) -> dict[str, Any]:
    return {
        "error": choice.error,
        "added_error": choice.added,
        "bitops": choice.bitops,
        "arena_bytes": choice.plan.arena_bytes,
        "weight_bytes": choice.weight_bytes,
        "estimated_instructions": choice.found.instructions,
        "schedule": choice.plan.schedule,
        "pushed": choice.plan.pushed,
        "maps": dict(choice.precision.maps),
        "weights": dict(choice.precision.weights),
    }
