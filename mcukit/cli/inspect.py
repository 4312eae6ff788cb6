# SPDX-License-Identifier: Apache-2.0
"""`mcukit inspect`: what is in a model, and what of it is not supported."""

from __future__ import annotations

__all__ = ["inspect"]

import re
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mcukit.cli.options import PATH, json_option
from mcukit.cli.output import Output

if TYPE_CHECKING:
    from mcukit.errors import Problem
    from mcukit.workflow.inspect import Inspection

_PLACES = (
    re.compile(r"node '(?P<node>.*)' \((?P<op>[^()]+)\)", re.DOTALL),
    re.compile(r"operator [0-9]+ \((?P<op>[^()]+)\) computing '(?P<node>.*)'", re.DOTALL),
)
"""How the importers of ONNX and of TFLite name a node."""


@click.command()
@click.argument("model", type=PATH)
@json_option
def inspect(model: Path, as_json: bool) -> int:
    """Shows operators, MACs and memory per layer of MODEL, and all that is unsupported and why."""
    from mcukit.report.terminal import inspection_view
    from mcukit.workflow.inspect import inspect_model

    inspection = inspect_model(model)
    Output(as_json).result(_fields(inspection), lambda: inspection_view(inspection))
    return 0 if inspection.supported else 1


def _fields(inspection: Inspection) -> dict[str, Any]:
    return {
        "name": inspection.name,
        "supported": inspection.supported,
        "unsupported": [_unsupported(problem) for problem in inspection.problems],
        "macs": inspection.macs,
        "parameters": inspection.parameters,
        "input_shape": inspection.input_shape,
        "output_shapes": inspection.output_shapes,
        "layers": [asdict(layer) for layer in inspection.layers],
    }


def _unsupported(problem: Problem) -> dict[str, str | None]:
    """op is null for what concerns no single node."""
    found = next(filter(None, (place.fullmatch(problem.where) for place in _PLACES)), None)
    node, operator = (found["node"], found["op"]) if found else (problem.where, None)
    reasons = {"code": problem.code, "reason": problem.message, "hint": problem.hint}
    return {"node": node, "op": operator, **reasons}
