# SPDX-License-Identifier: Apache-2.0
"""The measurement of kernels: its least squares, and the tables that it writes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from benchmarks.support.fit import fit_costs
from benchmarks.support.kernel_choices import CHOICE_TARGETS, count_choices, render_choices
from benchmarks.support.kernel_counts import count_kernel
from benchmarks.support.kernel_shapes import KERNEL_SHAPES
from benchmarks.support.measure import versions
from benchmarks.support.typical_layers import MULTIPLY_BOUNDS, SETS, render_section
from mcukit.planning.costs import load_costs, read_costs
from mcukit.planning.kernel_features import KERNEL_FEATURES
from mcukit.quantized.kernel_sets import KernelSet, first_set_with
from mcukit.workflow.kernels import costs_for

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "benchmarks" / "results" / "kernels.md"
TABLES = ROOT / "mcukit" / "planning" / "cost_tables"
TARGET = "cortex-m4"


def run_benchmark(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(ROOT / "benchmarks" / "kernels.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300, check=False)


@pytest.mark.parametrize("function", KERNEL_SHAPES)
def test_the_kept_table_fits_the_kernels_as_they_are(function: str) -> None:
    target = costs_for(None, first_set_with(function))
    kept, found = load_costs(target), versions(target)
    if (kept.compiler, kept.emulator) != (found["compiler"], found["emulator"]):
        pytest.skip(f"the table belongs to {kept.compiler} and {kept.emulator}")
    cost, shapes = kept.kernels[function], KERNEL_SHAPES[function]
    # A third of the shapes: kernels that have changed do so on all of them.
    samples = count_kernel(function, shapes[::3], target)
    # Where the planner puts the maps decides how memcpy and memset see them aligned, which changes some instructions.
    missed = [abs(float(np.dot(sample.features, cost.coefficients)) - sample.instructions) for sample in samples]
    errors = [100 * max(miss - 20, 0) / sample.instructions for miss, sample in zip(missed, samples, strict=True)]
    advice = "run benchmarks/kernels.py"
    assert len(shapes) == cost.shapes, advice
    assert np.max(errors) <= cost.largest_error + 2, advice
    assert np.mean(errors) <= 2 * cost.mean_error + 0.5, advice


def test_two_measurements_give_the_same_bytes(tmp_path: Path) -> None:
    chosen = ("--target", TARGET, "--only", "mk_max_pool_s8", "--only", "mk_softmax_s8")
    for folder in ("first", "second"):
        done = run_benchmark(*chosen, "--output", str(tmp_path / folder))
        assert done.returncode == 0, done.stderr
    first, second = (tmp_path / folder / f"{TARGET}.toml" for folder in ("first", "second"))
    assert first.read_bytes() == second.read_bytes()
    assert set(read_costs(first).kernels) == {"mk_max_pool_s8", "mk_softmax_s8"}


@pytest.mark.parametrize("path", sorted(TABLES.glob("*.toml")), ids=lambda path: path.stem)
def test_tables_say_where_they_are_from_but_not_when(path: Path) -> None:
    text = path.read_text()
    assert f"python benchmarks/kernels.py --target {path.stem}\n" in text
    assert not re.search(r"(/tmp|/home|/root|/work|/Users)\b|\b20\d\d-\d\d-\d\d\b|\d\d:\d\d:\d\d", text)
    assert read_costs(path).target == path.stem


def test_a_part_is_shown_and_writes_nothing() -> None:
    before = {path: path.read_bytes() for path in TABLES.iterdir()}
    done = run_benchmark("--target", TARGET, "--only", "mk_softmax_s8", "--shapes")
    assert done.returncode == 0, done.stderr
    assert "| mk_softmax_s8 | Softmax(beta=1.0)" in re.sub(" +", " ", done.stdout)
    assert "the tables stay as they are" in done.stderr
    assert {path: path.read_bytes() for path in TABLES.iterdir()} == before


def test_the_kept_page_is_what_is_measured() -> None:
    kept, found = PAGE.read_text(), versions(TARGET)
    if found["compiler"] not in kept or found["emulator"] not in kept:
        pytest.skip("the page belongs to another compiler or emulator")
    assert render_section(KernelSet.DSP, TARGET) in kept


@pytest.mark.parametrize("target", CHOICE_TARGETS)
def test_layers_get_the_kernel_that_takes_fewest_instructions(target: str) -> None:
    choices = count_choices(target)
    for name, choice in choices.items():
        chosen, least = choice.counts[choice.chosen], min(choice.counts.values())
        # Where two take the same but for a few percent, the tables can't tell them apart.
        assert chosen <= choice.counts[choice.own], name
        assert chosen <= 1.1 * least, name
    assert sum(choice.chosen != choice.own for choice in choices.values()) >= 8
    kept, found = PAGE.read_text(), versions(target)
    if found["compiler"] in kept and found["emulator"] in kept:
        assert render_choices(target, choices) in kept


def test_no_kernel_beats_its_bound() -> None:
    sets = {f"## {kernels} kernels on {target}": kernels for kernels, target in SETS}
    bound, rows = 0.0, 0
    typical, _, _ = PAGE.read_text().partition("# Kernels that layers get")
    for line in typical.splitlines():
        bound = MULTIPLY_BOUNDS[sets[line]] if line in sets else bound
        name, *cells = [cell.strip() for cell in line.split("|")[1:-1]] or [""]
        if name.partition(" ")[0] in {"conv2d", "depthwise_conv2d", "fully_connected"}:
            _, instructions, each, shown, *classes = cells
            assert float(shown) == pytest.approx(bound, abs=0.005)
            # Instructions that are told apart are all that there are.
            assert sum(map(float, classes)) == pytest.approx(float(each), abs=0.04)
            assert float(each) > float(classes[2]) >= bound - 0.005
            assert int(instructions.replace(",", "")) > 0
            rows += 1
    assert rows == 20 * len(SETS)


def test_every_kernel_is_measured_on_more_shapes_than_it_has_features() -> None:
    assert set(KERNEL_SHAPES) == set(KERNEL_FEATURES)
    for function, shapes in KERNEL_SHAPES.items():
        assert len(shapes) >= 2 * len(KERNEL_FEATURES[function].names), function
        assert len(set(shapes)) == len(shapes), function


def test_costs_are_found_where_they_are_exact() -> None:
    counts = np.array([[1, 4, 16], [1, 8, 64], [1, 1, 100], [1, 30, 31], [1, 2, 2]])
    costs = fit_costs(counts, counts @ [50, 7, 3])
    assert costs == pytest.approx([50, 7, 3])


def test_what_never_happens_costs_nothing() -> None:
    assert fit_costs([[1, 0], [2, 0]], [10, 20]) == pytest.approx([10, 0])


def test_a_cost_is_never_negative() -> None:
    # Plain least squares would take the second feature for -1.
    costs = fit_costs([[1, 1], [2, 1], [3, 1], [4, 1]], [1, 3, 5, 7])
    assert costs[1] == 0
    assert 1 < costs[0] < 2


@given(
    counts=arrays(np.int64, (7, 4), elements=st.integers(0, 50)),
    totals=arrays(np.int64, 7, elements=st.integers(1, 1000)),
)
def test_no_change_that_is_allowed_makes_a_fit_better(
    counts: np.ndarray[tuple[int, int], np.dtype[np.int64]], totals: np.ndarray[tuple[int], np.dtype[np.int64]]
) -> None:
    costs = fit_costs(counts.tolist(), totals.tolist())
    relative = counts / totals[:, None]
    descent = relative.T @ (1 - relative @ costs)
    scale = np.maximum(np.linalg.norm(relative, axis=0), 1e-12)
    assert (costs >= 0).all()
    assert (descent / scale < 1e-6).all()
    assert np.abs(descent[costs > 0] / scale[costs > 0]).max(initial=0) < 1e-6
