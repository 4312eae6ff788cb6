# SPDX-License-Identifier: Apache-2.0
"""Measures schedules: SRAM, multiply-accumulates and instructions of networks layer by layer, streamed and in tiles.

    python benchmarks/plans.py                 all networks; writes results/plans.md and plans.json
    python benchmarks/plans.py --only vww      one network; prints and writes nothing

Figures are the same on every machine with the same compiler and emulator. What takes time is only printed (--timing).
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.support.markdown import ABSENT, millions, table
from benchmarks.support.measure import versions
from benchmarks.support.network_table import Network, read_networks
from mcukit.emulation.build import CSources
from mcukit.emulation.runner import run_on_target
from mcukit.errors import McukitError
from mcukit.export.c_code import generate_c
from mcukit.export.names import file_stem
from mcukit.planning.choose import PlanRequest, choose_plan
from mcukit.planning.costs import load_costs
from mcukit.planning.dataflow import Dataflow
from mcukit.planning.grids import grid_costs, split_costs
from mcukit.planning.plan import Plan
from mcukit.quantized.integer import IntegerModel
from mcukit.workflow.kernels import kernels_for_target
from mcukit.workflow.quantize import QuantizeOptions, quantize

HERE = Path(__file__).resolve().parent
MODELS = HERE.parents[1] / "shared" / "models"
RESULTS = HERE / "results"
TARGET = "cortex-m4"
SCHEMA = 1

REQUESTS = {
    "layers": PlanRequest("layers"),
    "stream": PlanRequest("stream"),
    "stream, rows pushed": PlanRequest("stream", pushed=True),
    "patches": PlanRequest("patches"),
    "strips": PlanRequest("strips"),
}


@dataclass(frozen=True)
class _Run:
    """One schedule of one network. seconds: that planning took."""

    schedule: str
    arena_bytes: int
    macs: int
    estimated: int
    instructions: int
    stack_bytes: int
    code_bytes: int
    seconds: float


@click.command()
@click.option("--only", "names", multiple=True, metavar="NETWORK", help="Measure this network; may be repeated.")
@click.option("--timing", is_flag=True, help="Print how long planning took.")
def main(names: tuple[str, ...], timing: bool) -> None:
    """Measures schedules on an emulated microcontroller."""
    # Plans depend on shapes alone: the int8 files are the same networks.
    networks = [n for n in read_networks(HERE / "networks.toml") if not n.name.endswith("-int8")]
    for name in names:
        if name not in {network.name for network in networks}:
            known = ", ".join(network.name for network in networks)
            raise click.BadParameter(f"'{name}' is none of {known}", param_hint="--only")
    chosen = [network for network in networks if not names or network.name in names]
    present = [network for network in chosen if not network.missing(MODELS)]
    try:
        measured = [_measure(network) for network in present]
    except McukitError as error:
        raise click.ClickException(str(error)) from error
    results = {"schema": SCHEMA, **versions(TARGET), "target": TARGET, "networks": [fields for fields, _ in measured]}
    page = _page(results)
    click.echo(page)
    if timing:
        for fields, seconds in measured:
            click.echo(f"{fields['name']}: planned in " + ", ".join(f"{s:.2f} s ({n})" for n, s in seconds.items()))
    if names or len(present) < len(networks):
        click.echo("not all was measured: results/ stays as it is", err=True)
        return
    (RESULTS / "plans.md").write_text(page + "\n", encoding="utf-8")
    (RESULTS / "plans.json").write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


def _measure(network: Network) -> tuple[dict[str, Any], dict[str, float]]:
    """The network's fields of plans.json, and the seconds that each plan took."""
    with tempfile.TemporaryDirectory(prefix="mcukit-benchmark-") as scratch:
        files = network.files(MODELS, Path(scratch))
        options = QuantizeOptions(
            calibration=files.calibration, preprocessing=network.preprocessing, calibration_limit=8, ranges="min-max",
            kernels=kernels_for_target(TARGET).value,
        )  # fmt: skip
        model = quantize(files.model, Path(scratch) / "build", options).model
    flow = Dataflow(model)
    runs = [_run(model, name, request) for name, request in REQUESTS.items()]
    click.echo(f"{network.name}: {len(runs)} schedules", err=True)
    grids = [
        {
            "grid": list(cost.grid),
            "split": cost.split,
            "arena_bytes": cost.found.plan.arena_bytes,
            "macs": cost.found.macs,
        }
        for cost in grid_costs(flow, load_costs(TARGET))
    ]
    fields = {
        "name": network.name,
        "title": network.title,
        "macs": sum(flow.macs),
        "schedules": [{key: value for key, value in vars(run).items() if key != "seconds"} for run in runs],
        "grids": grids,
        "splits": [
            {
                "last": cost.last,
                "shape": list(cost.shape),
                "macs": {f"{rows}x{columns}": macs for (rows, columns), macs in cost.macs.items()},
            }
            for cost in split_costs(flow)
        ],
    }
    return fields, {run.schedule: run.seconds for run in runs}


def _run(model: IntegerModel, name: str, request: PlanRequest) -> _Run:
    started = time.perf_counter()
    found = choose_plan(model, request)
    seconds = time.perf_counter() - started
    instructions, stack, code = _emulate(model, found.plan)
    arena = found.plan.arena_bytes
    return _Run(name, arena, found.macs, found.instructions, instructions, stack, code, seconds)


def _emulate(model: IntegerModel, plan: Plan) -> tuple[int, int, int]:
    """Instructions, stack and code bytes of one inference; its outputs are what tests compare."""
    with tempfile.TemporaryDirectory(prefix="mcukit-benchmark-") as folder:
        for name, text in generate_c(model, plan).items():
            Path(folder, name).write_text(text)
        layers = len(model.steps)
        sources = CSources(file_stem(model.name), Path(folder), layers, model.input.elements, model.outputs[0].elements)
        inputs = np.random.default_rng(0).integers(-128, 128, (1, model.input.elements)).astype(np.int8)
        run = run_on_target(sources, TARGET, inputs)
    return run.instructions or 0, run.stack_bytes or 0, run.code_bytes or 0


def _introduction(results: dict[str, Any]) -> str:
    return (
        f"One inference on an emulated {results['target']} with {results['kernels']} kernels; all sizes in bytes. Made "
        f"with {results['compiler']} and {results['emulator']}."
    )


def _page(results: dict[str, Any]) -> str:
    parts = [
        "# Schedules",
        _introduction(results),
    ]
    for network in results["networks"]:
        parts += [f"## {network['title']}", _schedules(network), _grids(network)]
        if network["splits"]:
            parts.append(_splits(network))
    return "\n\n".join(parts)


def _schedules(network: dict[str, Any]) -> str:
    base = network["schedules"][0]["instructions"]
    rows = [
        (
            run["schedule"],
            f"{run['arena_bytes']:,}",
            f"{run['macs'] / network['macs']:.3f}",
            millions(run["instructions"]),
            f"{100 * (run['instructions'] / base - 1):+.2f} %",
            f"{100 * (run['estimated'] / run['instructions'] - 1):+.2f} %",
            str(run["stack_bytes"]),
            f"{run['code_bytes']:,}",
        )
        for run in network["schedules"]
    ]
    heads = ("schedule", "arena", "MACs", "instructions", "against layers", "estimate", "stack", "code")
    return table(heads, rows)


def _grids(network: dict[str, Any]) -> str:
    text = "The usual grids of patches, split where the arena is smallest, then layer by layer:"
    rows: Sequence[tuple[str, ...]] = [
        (f"{grid['grid'][0]} x {grid['grid'][1]}", f"{grid['arena_bytes']:,}", f"{grid['macs'] / network['macs']:.3f}")
        for grid in network["grids"]
    ]
    return f"{text}\n\n{table(('grid', 'arena', 'MACs'), rows)}"


def _splits(network: dict[str, Any]) -> str:
    text = (
        "MACs of the whole network where the first layers run in patches, by the map at the split (streaming: 1.000):"
    )
    grids = list(dict.fromkeys(grid for split in network["splits"] for grid in split["macs"]))
    rows = [
        (
            "x".join(map(str, split["shape"])),
            *(f"{split['macs'][grid] / network['macs']:.3f}" if grid in split["macs"] else ABSENT for grid in grids),
        )
        for split in network["splits"]
    ]
    return f"{text}\n\n{table(('split', *(grid.replace('x', ' x ') for grid in grids)), rows)}"


if __name__ == "__main__":
    main()
