# SPDX-License-Identifier: Apache-2.0
"""Measures mixed precision: QuantMCU as reconstructed, and mcukit's search, beside int8 in patches and streamed.

    python benchmarks/quantmcu.py                 all networks; writes results/quantmcu.md, .json and chosen/
    python benchmarks/quantmcu.py --only vww      one network; prints and writes nothing

Accuracies are those of the generated C on this computer, paired with the float network on the same images. What takes
time is only printed (--timing).
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from benchmarks.support.measure import versions
from benchmarks.support.mixed import (
    INT8_PATCHES,
    Prepared,
    Trial,
    best_configurations,
    int8_configurations,
    prepare,
    quantmcu_trials,
    stages_text,
    try_configuration,
)
from benchmarks.support.mixed_report import render
from benchmarks.support.network_table import Network, read_networks
from mcukit.precision.quantmcu import QuantmcuOptions
from mcukit.precision.vdpc import VdpcOptions

HERE = Path(__file__).resolve().parent
MODELS = HERE.parents[1] / "shared" / "models"
RESULTS = HERE / "results"
TARGET = "cortex-m4"
SCHEMA = 1

BUDGETS = {"vww": 32 << 10, "resnet8": 32 << 10, "mobilenet-v1": 256 << 10, "mobilenet-v2": 256 << 10}
"""Bytes of SRAM that the int8 network must fit, in as few patches as possible."""

LAMBDAS = (0.3, 0.4, 0.45, 0.5, 0.51, 0.52, 0.53, 0.54, 0.55, 0.6)
PHIS = (0.7, 0.8, 0.9, 0.95)
SWEEP_IMAGES = 300
"""On which the sweep over lambda and phi is scored: the first ones of the evaluation images."""

PHI_LAMBDA = 0.45
"""Where phi is varied."""

ADDED_ERRORS = (0.01, 0.02, 0.025, 0.03, 0.04, 0.08, 0.16, 0.32)
"""What the measured search may add to the output's error, in nats over the calibration images."""

LARGE = "mobilenet-v2"
LARGE_ERRORS = (0.02, 0.04, 0.08)
LARGE_SWEEP_IMAGES = 100
"""A network of 300 million multiply-accumulates takes minutes for each row: it has fewer."""

CHOSEN_ERROR = 0.04
"""Of the configuration with rows pushed whose plan is kept, and proved in every executor by the tests."""

SHARE = 0.6
"""Of the arena of int8 with rows pushed: what the search with rows pushed aims at."""


@click.command()
@click.option("--only", "names", multiple=True, type=click.Choice(list(BUDGETS)), help="Measure this network alone.")
@click.option("--sweep/--no-sweep", default=True, help="QuantMCU over lambda and phi.")
@click.option("--timing", is_flag=True, help="Print how long steps took.")
@click.option(
    "--keep",
    type=click.Path(file_okay=False, path_type=Path),
    help="Go on where a run ended.",
)
@click.option("--output", type=click.Path(file_okay=False, path_type=Path), help="Default: results/, if all was run.")
def main(names: tuple[str, ...], sweep: bool, timing: bool, keep: Path | None, output: Path | None) -> None:
    """Measures mixed precision against the patch-based int8 network."""
    networks = [network for network in read_networks(HERE / "networks.toml") if network.name in (names or BUDGETS)]
    measured = [_kept(network, sweep, timing, keep) for network in networks if not _is_missing(network)]
    results = {"schema": SCHEMA, **versions(TARGET), "target": TARGET, "networks": [each for each, _ in measured]}
    page = render(results)
    click.echo(page)
    if output is None and (len(measured) < len(BUDGETS) or not sweep):
        click.echo("not all was measured: results/ stays as it is (--output writes anyway)", err=True)
        return
    folder = output or RESULTS
    (folder / "chosen").mkdir(parents=True, exist_ok=True)
    for each, chosen in measured:
        (folder / "chosen" / f"{each['name']}.json").write_text(chosen, encoding="utf-8")
    (folder / "quantmcu.md").write_text(page, encoding="utf-8")
    (folder / "quantmcu.json").write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


def _is_missing(network: Network) -> bool:
    missing = network.missing(MODELS)
    if missing:
        click.echo(f"{network.name}: skipped, no {missing}", err=True)
    return missing is not None


def _kept(network: Network, sweep: bool, timing: bool, folder: Path | None) -> tuple[dict[str, Any], str]:
    """What _measure gives, from the folder if it is there: all networks together take an hour."""
    if folder is None:
        return _measure(network, sweep, timing)
    file = folder / f"{network.name}.json"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(_measure(network, sweep, timing)), encoding="utf-8")
    results, chosen = json.loads(file.read_text(encoding="utf-8"))
    return results, chosen


def _measure(network: Network, sweep: bool, timing: bool) -> tuple[dict[str, Any], str]:
    """Everything of one network, and the plan.json of the configuration that tests prove byte by byte."""
    with tempfile.TemporaryDirectory(prefix="mcukit-benchmark-") as scratch:
        prepared = prepare(network, MODELS, Path(scratch), BUDGETS[network.name])
    int8 = [_said(network, try_configuration(prepared, each)) for each in int8_configurations(prepared)]
    trials = _sweep(prepared) if sweep else {}
    best, chosen = [], ""
    errors = LARGE_ERRORS if network.name == LARGE else ADDED_ERRORS
    for added, configuration in best_configurations(prepared, errors, SHARE):
        best.append(_said(network, try_configuration(prepared, configuration)))
        if added == CHOSEN_ERROR and configuration.plan.pushed:
            chosen = stages_text(configuration)
    if timing:
        click.echo(f"{network.name}: " + ", ".join(f"{k} {v:.3g} s" for k, v in prepared.seconds.items()), err=True)
    patches = prepared.patches[0]
    results = {
        "name": network.name,
        "title": network.title,
        "budget": BUDGETS[network.name],
        "grid": [patches.tile_rows, patches.tile_columns],
        "patch_layers": len(patches.layers),
        "int8": [_rounded(trial) for trial in int8],
        "quantmcu": trials,
        "best": [_rounded(trial) for trial in best],
    }
    return results, chosen


def _sweep(prepared: Prepared) -> dict[str, Any]:
    """Over lambda with VDPC on and off, over phi, for the patches alone and for the whole network; int8 beside it."""
    prepared = prepared.head(LARGE_SWEEP_IMAGES if prepared.network.name == LARGE else SWEEP_IMAGES)
    choices = [
        QuantmcuOptions(vdpc, entropy_weight=weight, layer_stage=whole)
        for whole in (False, True)
        for vdpc in ("off", "static")
        for weight in LAMBDAS
    ]
    choices += [QuantmcuOptions("static", VdpcOptions(phi=phi), PHI_LAMBDA, layer_stage=True) for phi in PHIS]
    choices.append(QuantmcuOptions("runtime", entropy_weight=PHI_LAMBDA, layer_stage=True))
    rows = []
    for options, result, trial in quantmcu_trials(prepared, choices, lambda done: _said(prepared.network, done)):
        wide = None if result.classes is None else len(result.classes.outlier_tiles)
        tiles = None if result.classes is None else len(result.classes.positions)
        setting = {
            "vdpc": options.vdpc,
            "phi": options.classes.phi,
            "lambda": options.entropy_weight,
            "layer_stage": options.layer_stage,
        }
        rows.append({**setting, "wide_patches": wide, "patches": tiles, **_rounded(trial)})
    patches = next(each for each in int8_configurations(prepared) if each.name == INT8_PATCHES)
    return {"int8": _rounded(try_configuration(prepared, patches)), "trials": rows}


def _said(network: Network, trial: Trial) -> Trial:
    accuracy = trial.accuracy
    click.echo(
        f"{network.name}: {trial.name}: {trial.bitops / 1e6:.1f} MBitOPs, {trial.arena_bytes:,} bytes, top-1 "
        f"{accuracy.top1:.2f} % ({accuracy.difference:+.2f} +- {accuracy.interval:.2f}), KL {accuracy.divergence:.4f}",
        err=True,
    )
    return trial


def _rounded(trial: Trial) -> dict[str, Any]:
    """Rounded so that the last bits of a float library can't change the file."""
    fields = asdict(trial)
    paired = {
        name: {key: round(value, 4) if isinstance(value, float) else value for key, value in fields[name].items()}
        for name in ("accuracy", "against_int8")
    }
    return {**fields, "bitops": round(trial.bitops), **paired}


if __name__ == "__main__":
    main()
