# SPDX-License-Identifier: Apache-2.0
"""Estimates cycles and time of whole networks on boards, and holds them against latencies that others published.

    python benchmarks/cycles.py               all networks and boards; writes results/cycles.md and .json
    python benchmarks/cycles.py --only vww    one network; prints and writes nothing

The figures are the same on every machine with the same compiler and emulator. No board has run any of it.
"""

from __future__ import annotations

import json
import tempfile
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from benchmarks.support.markdown import ABSENT, millions, table
from benchmarks.support.measure import versions
from benchmarks.support.network_table import Network, read_networks
from mcukit.boards import Board, load_board
from mcukit.emulation.cycles import CYCLE_CLASSES
from mcukit.quantized.kernel_sets import KernelSet
from mcukit.report.cycles import CYCLE_MEANINGS
from mcukit.workflow.emulate import emulate
from mcukit.workflow.options import QuantizeOptions
from mcukit.workflow.quantize import quantize

HERE = Path(__file__).resolve().parent
MODELS = HERE.parents[1] / "shared" / "models"
RESULTS = HERE / "results"
NETWORKS = ("vww-int8", "resnet8-int8", "mobilenet-v1", "mobilenet-v2")
BOARDS = ("nucleo_l4r5zi", "nucleo_f446re", "nucleo_f746zg", "nucleo_h743zi")
SCHEMA = 1


@click.command()
@click.option("--only", "names", multiple=True, type=click.Choice(NETWORKS), help="This network; may be repeated.")
@click.option("--output", type=click.Path(file_okay=False, path_type=Path), help="Default: results/, if all was run.")
def main(names: tuple[str, ...], output: Path | None) -> None:
    """Estimates cycles and time of whole networks on boards."""
    networks = [network for network in read_networks(HERE / "networks.toml") if network.name in (names or NETWORKS)]
    missing = [network.name for network in networks if network.missing(MODELS)]
    for name in missing:
        click.echo(f"{name}: skipped, the development models are not beside the project", err=True)
    boards = [load_board(board_id) for board_id in BOARDS]
    results = {
        "schema": SCHEMA,
        **versions("cortex-m4"),
        "networks": [_measure(network, boards) for network in networks if network.name not in missing],
        "published": tomllib.loads((HERE / "latencies.toml").read_text(encoding="utf-8"))["latency"],
    }
    page = render(results)
    click.echo(page)
    if output is None and (names or missing):
        click.echo("not all was measured: results/ stays as it is (--output writes anyway)", err=True)
        return
    folder = output or RESULTS
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cycles.md").write_text(page, encoding="utf-8")
    (folder / "cycles.json").write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


def _measure(network: Network, boards: Sequence[Board]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="mcukit-benchmark-") as scratch:
        folder = Path(scratch)
        files = network.files(MODELS, folder)
        options = QuantizeOptions(
            calibration=files.calibration,
            preprocessing=network.preprocessing,
            calibration_limit=network.calibration_limit,
            kernels=KernelSet.DSP.value,
        )
        build = quantize(files.model, folder / "build", options)
        rows = []
        for board in boards:
            run = emulate(build, board=board.id, layers=False, all_outputs=False)
            if run.estimate is None or run.instructions is None:
                raise ValueError(f"{board.id} is not estimated")
            rows.append(
                {
                    "board": board.id,
                    "core": board.core,
                    "clock_hz": board.clock_hz,
                    "instructions": run.instructions,
                    "cycles": run.estimate.cycles,
                    "classes": dict(run.estimate.classes),
                }
            )
            click.echo(f"{network.name} on {board.id}: {run.estimate.cycles:,} cycles", err=True)
    return {"name": network.name, "title": network.title, "macs": int(build.report["macs"]), "boards": rows}


_INTRODUCTION = """# Estimated cycles

Estimates by `python benchmarks/cycles.py`, with the kernels for cores with DSP instructions, layer by layer. No board
has run any of it. Instructions are exact; cycles are those instructions with a table of timings for each core
(`cortex_m4.py` and `cortex_m7.py` in `mcukit/emulation/cycles`, with their sources), taken branches, and a model of the
flash: wait states, what is read at once, and the caches between, as `[flash_timing]` in the board's file has them. Maps
are in memory without wait states, code and weights in flash; interrupts and DMA take nothing."""

_PLAUSIBILITY = """## Held against published latencies

From MLPerf Tiny submissions, the same networks on cores and clocks like these. Cycles are latency times clock; cycles
per instruction of CMSIS-NN are those cycles over the instructions that TensorFlow Lite Micro with CMSIS-NN takes in the
emulator (`peers.toml`), which is not quite the same build."""


def render(results: dict[str, Any]) -> str:
    """The page."""
    parts = [_INTRODUCTION, f"Made with {results['compiler']} and {results['emulator']}."]
    parts += [f"## {network['title']}\n\n{_network_table(network)}" for network in results["networks"]]
    measured = {network["name"]: network for network in results["networks"]}
    rows = [row for entry in results["published"] for row in _latency_rows(entry, measured.get(entry["network"]))]
    heads = ("network", "core", "who", "", "MHz", "ms", "cycles", "MAC per cycle", "cycles per instruction")
    parts += [f"{_PLAUSIBILITY}\n\n{table(heads, rows, texts=4)}"]
    return "\n\n".join(parts) + "\n"


def _network_table(network: dict[str, Any]) -> str:
    heads = (
        "board",
        "core",
        "MHz",
        "ms",
        "cycles",
        "instructions",
        "each",
        *(CYCLE_MEANINGS[n] for n in CYCLE_CLASSES),
    )
    rows = [
        (
            row["board"],
            row["core"],
            f"{row['clock_hz'] / 1e6:g}",
            _milliseconds(row["cycles"], row["clock_hz"]),
            millions(row["cycles"]),
            millions(row["instructions"]),
            f"{row['cycles'] / row['instructions']:.2f}",
            *(millions(row["classes"][name]) for name in CYCLE_CLASSES),
        )
        for row in network["boards"]
    ]
    return table(heads, rows, texts=2)


def _latency_rows(entry: dict[str, Any], network: dict[str, Any] | None) -> list[tuple[str, ...]]:
    """Theirs, and ours on the board that is nearest."""
    if network is None:
        return []
    macs, title = network["macs"], network["title"]
    cycles = entry["milliseconds"] * entry["clock_hz"] // 1000
    counted = entry.get("instructions")
    theirs = (
        title, entry["core"], entry["engine"], "published", f"{entry['clock_hz'] / 1e6:g}",
        f"{entry['milliseconds']:g}", millions(int(cycles)), f"{macs / cycles:.2f}",
        f"{cycles / counted:.2f}" if counted else ABSENT,
    )  # fmt: skip
    (row,) = (row for row in network["boards"] if row["board"] == entry["nearest"])
    ours = (
        title, row["core"], f"mcukit, {row['board']}", "estimated", f"{row['clock_hz'] / 1e6:g}",
        _milliseconds(row["cycles"], row["clock_hz"]), millions(row["cycles"]), f"{macs / row['cycles']:.2f}",
        f"{row['cycles'] / row['instructions']:.2f}",
    )  # fmt: skip
    return [theirs, ours]


def _milliseconds(cycles: int, clock_hz: int) -> str:
    taken = 1000 * cycles / clock_hz
    return f"{taken:.3g}" if taken < 1000 else f"{taken:,.0f}"


if __name__ == "__main__":
    main()
