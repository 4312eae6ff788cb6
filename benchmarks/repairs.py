# SPDX-License-Identifier: Apache-2.0
"""Measures what each repair gives back of the accuracy that few bits cost.

    python benchmarks/repairs.py                 all networks; writes results/repairs.md
    python benchmarks/repairs.py --only vww      one network; prints and writes nothing
    python benchmarks/repairs.py --keep FOLDER   goes on where a run ended, network by network

Accuracy is that of the float simulation of the quantized network. What takes time is only printed (--timing).
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import numpy as np

from benchmarks.support.markdown import table
from benchmarks.support.network_table import Network, read_networks
from benchmarks.support.paired import Paired, compare_paired
from mcukit.calibration.data import load_inputs
from mcukit.calibration.float_model import FloatModel
from mcukit.calibration.statistics import collect_statistics
from mcukit.errors import McukitError
from mcukit.graph.graph import Graph, map_shape
from mcukit.importers.load import load_model
from mcukit.passes import run_passes
from mcukit.quantized.precision import INT8, Precision, quantization_groups, widest_choice
from mcukit.repair.calibrated import quantize_calibrated
from mcukit.repair.repair import REPAIRED, UNREPAIRED, Repair
from mcukit.simulation.simulation import Simulation

HERE = Path(__file__).resolve().parent
MODELS = HERE.parents[1] / "shared" / "models"
RESULTS = HERE / "results"
NAMES = ("vww", "mobilenet-v1", "mobilenet-v2")
LARGE = "mobilenet-v2"
"""Measured without blocks, which take too long."""

CALIBRATION = 100
"""Images, at most."""

CHUNK = 64

ABOUT = f"""\
Networks of few bits, quantized without training from up to {CALIBRATION} calibration images. Top-1 in percent, its
difference to the float network with the 95 % interval over the evaluation images, how often both name the same class,
and the Kullback-Leibler divergence from the float network's probabilities in nats; of the float simulation, which
rounds as the integers do but for ties. Later maps: the second half of them, where they may have so few bits. Repairs:
biases (corrected for rounded weights), rounding (of weights, by what it does to the layer's output), equalization (of
neighbouring layers' weights), channels (of narrow maps brought to like size), blocks (of layers fitted together; not
measured for MobileNetV2, where they take too long)."""

BIASES = Repair(weight_rounding=False)
EQUALIZED = Repair(equalization=True)
ONE_SCALE = Repair(map_equalization=False)
BLOCKS = Repair(block_reconstruction=True)


@dataclass(frozen=True)
class _Row:
    bits: str
    ranges: str
    repair: str
    accuracy: Paired
    seconds: float


@click.command()
@click.option("--only", "names", multiple=True, type=click.Choice(NAMES), help="Measure this network; may be repeated.")
@click.option("--timing", is_flag=True, help="Print how long quantization took.")
@click.option("--keep", type=click.Path(file_okay=False, path_type=Path), help="Go on where a run ended.")
def main(names: tuple[str, ...], timing: bool, keep: Path | None) -> None:
    """Measures what each repair of networks with few bits gives."""
    networks = [network for network in read_networks(HERE / "networks.toml") if network.name in (names or NAMES)]
    present = [network for network in networks if not network.missing(MODELS)]
    parts = ["# Repairs", ABOUT]
    for network in present:
        try:
            rows = _kept(network, keep)
        except McukitError as error:
            raise click.ClickException(str(error)) from error
        parts += [f"## {network.title}", _about(rows), _table(rows)]
        if timing:
            for row in rows:
                click.echo(f"{network.name}: {row.bits}, {row.ranges}, {row.repair}: {row.seconds:.1f} s", err=True)
    page = "\n\n".join(parts)
    click.echo(page)
    if names or len(present) < len(NAMES):
        click.echo("not all was measured: results/ stays as it is", err=True)
        return
    (RESULTS / "repairs.md").write_text(page + "\n", encoding="utf-8")


def _kept(network: Network, folder: Path | None) -> list[_Row]:
    """What _measure gives, from the folder if it is there."""
    if folder is None:
        return list(_measure(network))
    file = folder / f"{network.name}.json"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps([asdict(row) for row in _measure(network)]), encoding="utf-8")
    fields = json.loads(file.read_text(encoding="utf-8"))
    return [_Row(**{**row, "accuracy": Paired(**row["accuracy"])}) for row in fields]


def _measure(network: Network) -> Iterator[_Row]:
    with tempfile.TemporaryDirectory(prefix="mcukit-benchmark-") as scratch:
        files = network.files(MODELS, Path(scratch))
    if files.calibration is None:
        raise ValueError(f"{network.name} has no calibration data")
    graph = run_passes(load_model(files.model))
    shape = map_shape(graph.tensors[graph.inputs[0]].shape)
    inputs = network.preprocessing.apply(load_inputs(files.calibration, shape).values[:CALIBRATION])
    data = load_inputs(files.evaluation, shape, labels=files.labels)
    if data.labels is None:
        raise ValueError(f"{network.name} has no labels")
    labels = np.asarray(data.labels)
    images = data.values

    def outputs(simulated: Graph) -> np.ndarray:
        simulation = Simulation(simulated)
        parts = [
            simulation.run(network.preprocessing.apply(images[start : start + CHUNK]))[0]
            for start in range(0, len(images), CHUNK)
        ]
        return np.concatenate(parts).reshape(len(images), -1)

    model = FloatModel(graph)
    statistics = collect_statistics(model, inputs)
    real = outputs(graph)
    for bits, precision, ranges, name, repair in _configurations(graph):
        if network.name == LARGE and repair == BLOCKS:
            continue
        started = time.perf_counter()
        quantized = quantize_calibrated(
            model, statistics, inputs, ranges=ranges, precision=precision, repair=repair
        ).model
        seconds = time.perf_counter() - started
        accuracy = compare_paired(outputs(quantized.graph), real, labels, logits=True)
        click.echo(f"{network.name}: {bits}, {ranges}, {name}", err=True)
        yield _Row(bits, ranges, name, accuracy, seconds)


def _configurations(graph: Graph) -> Iterator[tuple[str, Precision, str, str, Repair]]:
    """(bits, precision, ranges, name of the repair, repair)."""
    weights = Precision(weights=dict.fromkeys((n.name for n in graph.nodes if n.operator.has_weights), 4))
    maps = _later_maps(graph)
    for ranges in ("min-max", "mse", "map-by-map"):
        yield "all 8", INT8, ranges, "biases", REPAIRED
    for name, repair in (
        ("none", UNREPAIRED),
        ("biases", BIASES),
        ("biases, rounding", REPAIRED),
        ("biases, rounding, equalization", EQUALIZED),
        ("biases, rounding, blocks", BLOCKS),
    ):
        yield "weights 4", weights, "mse", name, repair
    for ranges in ("percentile", "mse", "map-by-map"):
        yield "later maps 4", maps, ranges, "biases", ONE_SCALE
    for ranges in ("percentile", "mse", "map-by-map"):
        yield "later maps 4", maps, ranges, "biases, channels", REPAIRED
    yield "later maps 4", maps, "map-by-map", "biases, channels, blocks", BLOCKS
    both = Precision(maps.maps, weights.weights)
    for name, repair in (
        ("biases, rounding", ONE_SCALE),
        ("biases, rounding, channels", REPAIRED),
        ("biases, rounding, channels, blocks", BLOCKS),
    ):
        yield "weights 4, later maps 4", both, "map-by-map", name, repair


def _later_maps(graph: Graph) -> Precision:
    """4 bits for the second half of the maps, where they may have so few: early maps bear it far worse."""
    groups = quantization_groups(graph)
    order = list(dict.fromkeys(groups[tensor.name] for tensor in graph.maps()))
    choices = widest_choice(graph)
    return Precision({root: 4 for root in order[len(order) // 2 :] if 4 in choices[root]})


def _about(rows: list[_Row]) -> str:
    first = rows[0].accuracy
    return f"{first.images} images, float {first.float_top1:.2f} %."


def _table(rows: list[_Row]) -> str:
    heads = ("bits", "ranges", "repair", "top-1", "against float", "same class", "KL")
    cells = [
        (
            row.bits,
            row.ranges,
            row.repair,
            f"{row.accuracy.top1:.2f}",
            f"{row.accuracy.difference:+.2f} ± {row.accuracy.interval:.2f}",
            f"{row.accuracy.agreement:.1f} %",
            f"{row.accuracy.divergence:.4f}",
        )
        for row in rows
    ]
    return table(heads, cells, texts=3)


if __name__ == "__main__":
    main()
