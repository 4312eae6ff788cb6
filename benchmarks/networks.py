# SPDX-License-Identifier: Apache-2.0
"""Measures whole networks on an emulated Cortex-M4, or on another core, and compares them with other engines.

    python benchmarks/networks.py                               all networks; writes results/networks.md, .json and .svg
    python benchmarks/networks.py --only vww --no-accuracy      one network, in seconds; prints and writes nothing
    python benchmarks/networks.py --target cortex-m55           on another core, with its kernels; writes nothing
    python benchmarks/networks.py --kernels portable            with other kernels; writes nothing

Figures are the same on every machine with the same compiler and emulator. What takes time is only printed (--timing).
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from benchmarks.support.markdown import ABSENT, table
from benchmarks.support.measure import Progress, Seconds, measure_network, versions
from benchmarks.support.network_picture import render_picture
from benchmarks.support.network_report import render
from benchmarks.support.network_table import Network, Peers, read_networks, read_peers
from mcukit.emulation.targets import EMULATED_CORES
from mcukit.errors import McukitError
from mcukit.quantized.kernel_sets import KERNEL_SETS
from mcukit.workflow.kernels import kernels_for_target

HERE = Path(__file__).resolve().parent
MODELS = HERE.parents[1] / "shared" / "models"
RESULTS = HERE / "results"
TARGET = "cortex-m4"
SCHEMA = 1


@click.command()
@click.option("--only", "names", multiple=True, metavar="NETWORK", help="Measure this network; may be repeated.")
@click.option("--target", type=click.Choice(EMULATED_CORES), default=TARGET, help=f"The core; default: {TARGET}.")
@click.option("--kernels", type=click.Choice(KERNEL_SETS), help="A set of kernels; default: the core's fastest.")
@click.option("--accuracy/--no-accuracy", default=True, help="Score float and int8 on the evaluation data.")
@click.option("--timing", is_flag=True, help="Print how long quantizing, emulating and evaluating took.")
@click.option(
    "--output", type=click.Path(file_okay=False, path_type=Path),
    help="Folder for networks.md, .json and .svg. Default: results/, if nothing was left out.",
)  # fmt: skip
def main(
    names: tuple[str, ...], target: str, kernels: str | None, accuracy: bool, timing: bool, output: Path | None
) -> None:
    """Measures whole networks on an emulated microcontroller."""
    networks = _chosen(read_networks(HERE / "networks.toml"), names)
    peers = read_peers(HERE / "peers.toml")
    if target != TARGET:
        networks = [replace(network, peers="") for network in networks]  # theirs is another core
    try:
        results, seconds = _measure(networks, target, kernels or kernels_for_target(target).value, peers, accuracy)
    except McukitError as error:
        raise click.ClickException(str(error)) from error
    page = render(results)
    click.echo(page)
    if timing:
        click.echo(_timing_table(seconds))
    complete = not names and target == TARGET and kernels is None and accuracy and not results["skipped"]
    if output is None and not complete:
        click.echo("not all was measured: results/ stays as it is (--output writes anyway)", err=True)
        return
    _write(output or RESULTS, page, results)


def _chosen(networks: Sequence[Network], names: Sequence[str]) -> list[Network]:
    known = [network.name for network in networks]
    for name in names:
        if name not in known:
            raise click.BadParameter(f"'{name}' is none of {', '.join(known)}", param_hint="--only")
    return [network for network in networks if not names or network.name in names]


def _measure(
    networks: Sequence[Network], target: str, kernels: str, peers: Peers, accuracy: bool
) -> tuple[dict[str, Any], dict[str, Seconds]]:
    """The content of networks.json, and the time that each network took."""
    measured, skipped, seconds = [], [], {}
    for network in networks:
        missing = network.missing(MODELS)
        if missing:
            reason = f"the development models are not beside the project: no {missing}"
            skipped.append({"name": network.name, "reason": reason})
            click.echo(f"{network.name}: skipped, {reason}", err=True)
            continue
        with tempfile.TemporaryDirectory(prefix="mcukit-benchmark-") as scratch:
            fields, seconds[network.name] = measure_network(
                network, MODELS, Path(scratch), target, kernels, peers,
                accuracy=accuracy, progress=_progress(network.name),
            )  # fmt: skip
        measured.append(fields)
        click.echo(f"{network.name}: {fields['instructions']:,} instructions", err=True)
    results = {
        "schema": SCHEMA,
        **versions(target),
        "kernels": kernels,
        "target": target,
        "networks": measured,
        "skipped": skipped,
        "peers_conditions": peers.conditions,
    }
    return results, seconds


def _progress(name: str) -> Progress:
    """Rewrites one line on a terminal; elsewhere says when each stage ends, so that logs stay short."""

    def report(stage: str, done: int, total: int) -> None:
        if sys.stderr.isatty():
            click.echo(f"\r\033[K{name}: {stage} {done}/{total}\r", err=True, nl=False)
        elif done == total:
            click.echo(f"{name}: {stage}", err=True)

    return report


def _timing_table(seconds: dict[str, Seconds]) -> str:
    rows = [(name, *map(_seconds, (taken.quantize, taken.emulate, taken.evaluate))) for name, taken in seconds.items()]
    return "## Seconds on this computer\n\n" + table(("network", "quantize", "emulate", "evaluate"), rows)


def _seconds(taken: float | None) -> str:
    return ABSENT if taken is None else f"{taken:.1f}"


def _write(folder: Path, page: str, results: dict[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "networks.md").write_text(page, encoding="utf-8")
    (folder / "networks.svg").write_text(render_picture(results), encoding="utf-8")
    (folder / "networks.json").write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
