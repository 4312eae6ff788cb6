# SPDX-License-Identifier: Apache-2.0
"""Measures kernels on emulated cores: what typical layers take, and the costs that plans are made with.

    python benchmarks/kernels.py                              writes results/kernels.md, mcukit/planning/cost_tables/*
    python benchmarks/kernels.py --target riscv32             one of the cost tables
    python benchmarks/kernels.py --only mk_conv2d_s8 --shapes how well it fits, shape by shape; writes nothing

The files are the same byte for byte whenever compiler, emulator and mcukit are. Run it after every change of a kernel;
where its loops changed, mcukit/planning/kernel_features.py must say so first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np

from benchmarks.support.fit import fit_costs
from benchmarks.support.kernel_choices import render_chosen_kernels
from benchmarks.support.kernel_counts import Sample, count_kernel
from benchmarks.support.kernel_shapes import KERNEL_SHAPES
from benchmarks.support.markdown import table
from benchmarks.support.measure import versions
from benchmarks.support.shaped import Shaped
from benchmarks.support.typical_layers import render_typical_layers
from mcukit.emulation.targets import EMULATED_CORES
from mcukit.errors import McukitError
from mcukit.planning.kernel_features import KERNEL_FEATURES
from mcukit.quantized.kernel_sets import first_set_with, sets_up_to
from mcukit.workflow.kernels import kernels_for_target

HERE = Path(__file__).resolve().parent
RESULT = HERE / "results" / "kernels.md"
TABLES = HERE.parent / "mcukit" / "planning" / "cost_tables"
SCHEMA = 1

_DIGITS = 4


@dataclass(frozen=True)
class Fit:
    """A kernel's coefficients as the table holds them, and the error of each sample in percent of its count."""

    samples: tuple[Sample, ...]
    coefficients: tuple[float, ...]
    errors: tuple[float, ...]

    @property
    def mean_error(self) -> float:
        return float(np.mean(np.abs(self.errors)))

    @property
    def largest_error(self) -> float:
        return float(np.max(np.abs(self.errors)))


@click.command()
@click.option(
    "--target", "targets", multiple=True, type=click.Choice(EMULATED_CORES), help="May be repeated; default: all."
)
@click.option("--only", "functions", multiple=True, type=click.Choice(list(KERNEL_SHAPES)), help="May be repeated.")
@click.option("--shapes", is_flag=True, help="Print the error of every shape.")
@click.option(
    "--output", type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the cost tables. Default: the package's own, unless --only leaves kernels out.",
)  # fmt: skip
def main(targets: tuple[str, ...], functions: tuple[str, ...], shapes: bool, output: Path | None) -> None:
    """Measures what kernels cost on emulated microcontrollers."""
    for target in targets or EMULATED_CORES:
        try:
            fits = {name: _fit(name, target) for name in functions or _functions(target)}
            text = _render(target, versions(target), fits)
        except McukitError as error:
            raise click.ClickException(str(error)) from error
        click.echo(f"## {target}\n\n{_summary(fits)}")
        if shapes:
            click.echo(_each_shape(fits))
        if output is None and functions:
            click.echo("not all was measured: the tables stay as they are (--output writes anyway)", err=True)
            continue
        folder = output or TABLES
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{target}.toml").write_text(text, encoding="utf-8")
    if not targets and not functions and output is None:
        page = f"{render_typical_layers()}\n{render_chosen_kernels()}"
        click.echo(page)
        RESULT.write_text(page, encoding="utf-8")


def _functions(target: str) -> list[str]:
    """The kernels that plans for a target are made with: those of its set, and of slower ones.

    DSP kernels of other targets only call the portable ones.
    """
    possible = sets_up_to(kernels_for_target(target))
    return [name for name in KERNEL_SHAPES if first_set_with(name) in possible]


def _fit(function: str, target: str) -> Fit:
    samples = count_kernel(function, KERNEL_SHAPES[function], target)
    exact = fit_costs([sample.features for sample in samples], [sample.instructions for sample in samples])
    # What the last digits hold depends on the machine that fits, and matters to nobody.
    coefficients = tuple(float(f"{value:.{_DIGITS}g}") for value in exact)
    errors = tuple(100 * (np.dot(sample.features, coefficients) / sample.instructions - 1) for sample in samples)
    return Fit(samples, coefficients, tuple(map(float, errors)))


def _render(target: str, version: Mapping[str, str], fits: Mapping[str, Fit]) -> str:
    """The file of one target."""
    lines = [
        "# SPDX-License-Identifier: Apache-2.0",
        f"# Written by: python benchmarks/kernels.py --target {target}",
        "# Instructions that a unit of each kernel's work takes, fitted to exact counts of the emulator. The units are",
        "# those of planning/kernel_features.py, the errors those of the fit, in percent of the count of a shape.",
        f"schema = {SCHEMA}",
        f'target = "{target}"',
        f'compiler = "{version["compiler"]}"',
        f'emulator = "{version["emulator"]}"',
    ]
    for function, fit in fits.items():
        lines += [
            "",
            f"[kernels.{function}]",
            f"shapes = {len(fit.samples)}",
            f"mean_error = {fit.mean_error:.1f}",
            f"largest_error = {fit.largest_error:.1f}",
            f"[kernels.{function}.instructions]",
            *(f"{name} = {value!r}" for name, value in _named(function, fit)),
        ]
    return "\n".join(lines) + "\n"


def _named(function: str, fit: Fit) -> Sequence[tuple[str, float]]:
    return list(zip(KERNEL_FEATURES[function].names, fit.coefficients, strict=True))


def _summary(fits: Mapping[str, Fit]) -> str:
    rows = [
        (
            function, str(len(fit.samples)), f"{fit.mean_error:.1f}", f"{fit.largest_error:.1f}",
            ", ".join(f"{name} {value:g}" for name, value in _named(function, fit)),
        )
        for function, fit in fits.items()
    ]  # fmt: skip
    return table(("kernel", "shapes", "mean error %", "largest %", "instructions for each"), rows)


def _each_shape(fits: Mapping[str, Fit]) -> str:
    rows = [
        (
            function, str(sample.shaped.operator), str(sample.shaped.maps), _bits(sample.shaped),
            f"{sample.instructions:,}", f"{error:+.1f}",
        )
        for function, fit in fits.items()
        for sample, error in zip(fit.samples, fit.errors, strict=True)
    ]  # fmt: skip
    return table(("kernel", "operator", "maps", "bits", "instructions", "error %"), rows, texts=4)


def _bits(shaped: Shaped) -> str:
    """Of the maps that it reads, of the one that it computes and of its weights."""
    weights = f", weights {shaped.weight_bits}" if shaped.operator.has_weights else ""
    return f"{' '.join(map(str, shaped.map_bits))} to {shaped.output_bits}{weights}"


if __name__ == "__main__":
    main()
