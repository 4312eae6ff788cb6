# SPDX-License-Identifier: Apache-2.0
"""Quantizes a network, runs it on an emulated core and writes down what it costs."""

from __future__ import annotations

__all__ = ["Seconds", "measure_network", "versions"]

import subprocess
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

import mcukit
from benchmarks.support.fusion import expansion_instructions, transfer_instructions
from benchmarks.support.network_table import Engine, Network, Peers
from mcukit.calibration.data import Dataset, load_inputs
from mcukit.emulation.counting import INSTRUCTION_CLASSES
from mcukit.emulation.targets import target_named
from mcukit.emulation.toolchain import find_tool
from mcukit.errors import McukitError
from mcukit.planning.costs import load_costs
from mcukit.workflow.build import Build
from mcukit.workflow.emulate import Emulation, LayerCount, emulate
from mcukit.workflow.evaluate import Evaluation, evaluate
from mcukit.workflow.execute import execute
from mcukit.workflow.kernels import kernels_for_target
from mcukit.workflow.quantize import QuantizeOptions, quantize

Progress = Callable[[str, int, int], None]

# Peers' numbers of multiply-accumulates are rounded; a larger difference means another network.
_MACS_TOLERANCE = 0.005


@dataclass(frozen=True)
class Seconds:
    """Wall-clock time of the steps that users wait for. evaluate is None where accuracy was not asked for."""

    quantize: float
    emulate: float
    evaluate: float | None


def measure_network(
    network: Network,
    models: Path,
    scratch: Path,
    target: str,
    kernels: str,
    peers: Peers,
    *,
    accuracy: bool,
    progress: Progress,
) -> tuple[dict[str, Any], Seconds]:
    """The fields of networks.json for one network, and the time it took.

    Raises what quantize, emulate and evaluate raise, and McukitError "outputs-differ" if the target's bytes are not
    those of TensorFlow Lite Micro, "other-network" if the peers' figures are about a network of another size.
    """
    files = network.files(models, scratch)
    options = QuantizeOptions(
        calibration=files.calibration,
        preprocessing=network.preprocessing,
        calibration_limit=network.calibration_limit,
        kernels=kernels,
    )
    started = time.perf_counter()
    build = quantize(files.model, scratch / "build", options, progress)
    quantized = time.perf_counter()
    dataset = load_inputs(files.evaluation, build.model.input.shape[1:], network.preprocessing, labels=files.labels)
    scored = _from(dataset, network.evaluation_first)
    progress(target, 0, 1)
    loaded = time.perf_counter()
    run = _run_one(build, scored, target)
    emulated = time.perf_counter()
    progress(target, 1, 1)
    evaluation = evaluate(build, scored, progress=progress) if accuracy else None
    seconds = Seconds(quantized - started, emulated - loaded, time.perf_counter() - emulated if accuracy else None)
    macs = int(build.report["macs"])
    fields = {
        "name": network.name,
        "title": network.title,
        "model": build.manifest["model"],
        "input": scored.names[0],
        "macs": macs,
        **_costs(run),
        "accuracy": None if evaluation is None else _accuracy(evaluation),
        "operators": _operators(run.layers),
        "fusion": {
            "expansion": expansion_instructions(build.model, load_costs(target)),
            "transfers": transfer_instructions(run.layers),
        },
        "peers": _compare(network, macs, _costs(run), peers),
    }
    return fields, seconds


def versions(target: str) -> dict[str, str]:
    """What the figures depend on, without anything that says where or when they were measured."""
    machine = target_named(target)
    return {
        "mcukit": mcukit.__version__,
        "kernels": kernels_for_target(target).value,
        "compiler": _first_line(machine.compiler),
        "emulator": _first_line(machine.emulator),
    }


def _from(dataset: Dataset, first: int) -> Dataset:
    labels = None if dataset.labels is None else dataset.labels[first:]
    return Dataset(dataset.values[first:], labels, dataset.names[first:], dataset.preprocessing)


def _run_one(build: Build, dataset: Dataset, target: str) -> Emulation:
    # Twice, as the peers ran it: what is counted is the second inference.
    inputs = build.quantize_inputs(dataset.values[:1]).repeat(2, axis=0)
    run = emulate(build, target, inputs)
    expected = execute(build, "tflm", inputs).outputs
    # Counts of code that computes something else are worth nothing.
    if expected is None or not np.array_equal(expected, run.outputs):
        raise McukitError("outputs-differ", f"the output on {target} is not TensorFlow Lite Micro's", where=build.name)
    return run


def _costs(run: Emulation) -> dict[str, Any]:
    """Instructions and bytes. SRAM is arena, other static RAM and deepest stack; flash is code and weights."""
    if run.instructions is None or run.instruction_classes is None or run.stack_bytes is None:
        raise ValueError(f"{run.target} measures no instructions")
    if run.code_bytes is None or run.weight_bytes is None or run.static_ram_bytes is None:
        raise ValueError(f"{run.target} measures no sizes")
    return {
        "instructions": run.instructions,
        "instruction_classes": dict(run.instruction_classes),
        "sram_bytes": run.arena_bytes + run.static_ram_bytes + run.stack_bytes,
        "arena_bytes": run.arena_bytes,
        "static_ram_bytes": run.static_ram_bytes,
        "stack_bytes": run.stack_bytes,
        "flash_bytes": run.code_bytes + run.weight_bytes,
        "code_bytes": run.code_bytes,
        "weight_bytes": run.weight_bytes,
    }


def _accuracy(evaluation: Evaluation) -> dict[str, Any]:
    """Percentages, rounded so that the last bits of a float library can't change the file."""
    fields = asdict(evaluation)
    kept = ("top1", "top5", "float_top1", "float_top5", "agreement")
    rounded = {key: None if fields[key] is None else round(fields[key], 4) for key in kept}
    return {"images": evaluation.n, **rounded}


def _operators(layers: tuple[LayerCount, ...]) -> list[dict[str, Any]]:
    """Sums over the layers of each kind of operator, in the order in which kinds first appear."""
    sums: dict[str, dict[str, Any]] = {}
    for layer in layers:
        start = {"op": layer.op, "layers": 0, "macs": 0, "instructions": 0}
        entry = sums.setdefault(layer.op, {**start, "instruction_classes": dict.fromkeys(INSTRUCTION_CLASSES, 0)})
        entry["layers"] += 1
        entry["macs"] += layer.macs
        entry["instructions"] += layer.instructions
        for name, count in layer.classes.items():
            entry["instruction_classes"][name] += count
    return list(sums.values())


def _compare(network: Network, macs: int, costs: dict[str, Any], peers: Peers) -> list[dict[str, Any]]:
    """The peers' figures with how many times mcukit's they are."""
    if not network.peers:
        return []
    if abs(peers.macs[network.peers] - macs) > _MACS_TOLERANCE * macs:
        theirs = f"{peers.macs[network.peers]:,}"
        raise McukitError(
            "other-network", f"it has {macs:,} MAC, peers.toml is about one of {theirs}", where=network.name
        )
    return [_ratios(engine, costs) for engine in peers.engines[network.peers]]


def _ratios(engine: Engine, costs: dict[str, Any]) -> dict[str, Any]:
    ratios = {
        "instructions": engine.instructions / costs["instructions"],
        "ram": engine.ram / costs["sram_bytes"],
        "flash": engine.flash / costs["flash_bytes"],
    }
    return {**asdict(engine), "times_mcukit": {key: round(value, 4) for key, value in ratios.items()}}


def _first_line(command: str) -> str:
    done = subprocess.run([str(find_tool(command)), "--version"], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[0]
