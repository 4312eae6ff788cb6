# SPDX-License-Identifier: Apache-2.0
"""Every operator under every schedule: the C computes the bytes of the reference, in no memory but what is planned.

Each case's operator stands between two others with windows, so that it reads and writes rings of rows and tiles. The
networks have what single operators don't: residuals, branches, views, maps that no tile needs.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from mcukit.emulation.build import CSources
from mcukit.emulation.reference import run_reference
from mcukit.emulation.runner import run_on_target
from mcukit.errors import McukitError
from mcukit.export.c_code import generate_c
from mcukit.export.names import file_stem
from mcukit.graph.graph import Graph
from mcukit.ops.window import Window
from mcukit.planning.dataflow import Dataflow
from mcukit.planning.plan import Halo, Plan, Stage
from mcukit.planning.planner import plan_of
from mcukit.quantized.integer import IntegerModel, with_kernels
from mcukit.quantized.kernel_sets import KernelSet
from tests.ops import test_reshape
from tests.ops.test_conv2d import conv
from tests.ops.test_regions import AWKWARD, OF_EACH_OPERATOR
from tests.planning.batch import Job, require_all_right
from tests.planning.networks import NETWORKS, embedded, lowered, network_named

CASES = (*OF_EACH_OPERATOR, *AWKWARD, *test_reshape.CASES)
OPERATORS = sorted({case.operator.op_name for case in CASES})

ALL = -1
"""As many tiles as there are rows or columns: one pixel each."""

GRIDS = (
    (1, 2, Halo.KEPT),
    (1, ALL, Halo.KEPT),
    (3, 1, Halo.RECOMPUTED),
    (1, 2, Halo.RECOMPUTED),
    (2, 3, Halo.RECOMPUTED),
    (ALL, ALL, Halo.RECOMPUTED),
)


def plans(flow: Dataflow, grids: Sequence[tuple[int, int, Halo]] = GRIDS) -> Iterator[Plan]:
    """All layers in one stage, under every schedule; as tiles where the last map has enough pixels for the grid."""
    names = tuple(layer.name for layer in flow.layers)
    height, width, _ = flow.shape(flow.layers[-1].output)
    yield plan_of(flow, (Stage(names),))
    yield plan_of(flow, (Stage(names, halo=Halo.KEPT),))
    if pushable(flow):
        yield plan_of(flow, (Stage(names, halo=Halo.KEPT),), pushed=True)
    for rows, columns, halo in grids:
        grid = height if rows == ALL else rows, width if columns == ALL else columns
        if max(grid) > 1 and grid[0] <= height and grid[1] <= width:
            yield plan_of(flow, (Stage(names, *grid, halo),))


def plans_of_two_stages(flow: Dataflow, first: int) -> Iterator[Plan]:
    """Cut in the middle, every second pair of schedules from `first` on."""
    names = tuple(layer.name for layer in flow.layers)
    middle = len(names) // 2
    shapes = [flow.shape(flow.layers[last - 1].output) for last in (middle, len(names))]
    kinds = ((1, 1, Halo.RECOMPUTED), (1, 1, Halo.KEPT), (1, 2, Halo.KEPT), (2, 2, Halo.RECOMPUTED))
    for before, after in list(itertools.product(kinds, kinds))[first % 2 :: 2]:
        grids = zip((before, after), shapes, strict=True)
        if all(rows <= height and columns <= width for (rows, columns, _), (height, width, _) in grids):
            stages = Stage(names[:middle], *before), Stage(names[middle:], *after)
            yield plan_of(flow, stages)
            source = flow.model.input.name
            if stages[0].schedule == "stream" and pushable(flow) and max(flow.readers[source]) < middle:
                yield plan_of(flow, stages, pushed=True)


def pushable(flow: Dataflow) -> bool:
    """Whether the input may arrive row by row where one stage holds all of its readers."""
    return flow.model.input.name not in flow.viewed | flow.outputs


def schedule_of(plan: Plan) -> str:
    return "pushed" if plan.pushed else plan.schedule


def jobs(title: str, model: IntegerModel, inputs: np.ndarray, planned: Iterator[Plan]) -> Iterator[Job]:
    for plan in planned:
        grids = [f"{s.schedule} {s.tile_rows}x{s.tile_columns} {'+'.join(s.layers)}" for s in plan.stages]
        yield Job(f"{title}, {'pushed, ' * plan.pushed}{', then '.join(grids)}", model, plan, inputs)


@pytest.mark.parametrize("operator", OPERATORS)
def test_every_case_of_an_operator(operator: str, tmp_path: Path) -> None:
    """OPERATORS are all that there are, as tests/ops/test_regions.py sees to. Sets of kernels and grids take turns."""
    batch: list[Job] = []
    for number, case in enumerate(case for case in CASES if case.operator.op_name == operator):
        model, inputs = lowered(embedded(case), case.seed)
        turn, kernels = divmod(number, len(KernelSet))
        model = with_kernels(model, tuple(KernelSet)[kernels])
        planned = plans(Dataflow(model), GRIDS[(turn + kernels) % 3 :: 3])
        batch += jobs(f"{case} ({case.operator}, {model.kernels})", model, inputs, planned)
    assert {schedule_of(job.plan) for job in batch} == {"layers", "stream", "pushed", "strips", "patches"}
    require_all_right(batch, tmp_path)


@pytest.mark.parametrize("name", NETWORKS)
def test_networks(name: str, tmp_path: Path) -> None:
    model, inputs = network_named(name)
    flow = Dataflow(model)
    planned = itertools.chain(plans(flow), plans_of_two_stages(flow, sorted(NETWORKS).index(name)))
    batch = list(jobs(name, model, inputs, planned))
    require_all_right(batch, tmp_path)


@pytest.mark.parametrize(
    ("graph", "grid"),
    [
        # Tiles in which layers have rows, but no columns that anybody needs.
        (NETWORKS["padding"](), (1, 3, Halo.KEPT)),
        # Rows that the stride leaves out have made way for others of the same call when this is traced.
        (embedded(conv(7, 7, 4, 5, Window((1, 1), (3, 2), pads=(1, 0, 0, 2)))), (1, 2, Halo.RECOMPUTED)),
    ],
)
def test_the_runner_traces_every_schedule(graph: Graph, grid: tuple[int, int, Halo], tmp_path: Path) -> None:
    model, inputs = lowered(graph)
    flow = Dataflow(model)
    plan = plan_of(flow, (Stage(tuple(layer.name for layer in flow.layers), *grid),))
    for file, text in generate_c(model, plan).items():
        Path(tmp_path, file).write_text(text)
    name, sizes = file_stem(model.name), (model.input.elements, model.outputs[0].elements)
    sources = CSources(name, tmp_path, len(flow.layers), *sizes)
    run = run_on_target(sources, "host", inputs.reshape(len(inputs), -1), trace=True, sanitize=True)
    expected = run_reference(model, inputs, keep_maps=True)
    np.testing.assert_array_equal(run.outputs, expected.outputs[0].reshape(len(inputs), -1))
    assert run.traces is not None
    assert run.computed is not None
    for index, (traces, computed) in enumerate(zip(run.traces, run.computed, strict=True)):
        for layer, data in traces.items():
            values = expected.maps[flow.layers[layer].output][index].ravel()
            np.testing.assert_array_equal(np.frombuffer(data, np.int8)[computed[layer]], values[computed[layer]])


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        ((12, 1, Halo.RECOMPUTED), r"a map of 5 x 5 pixels can't be cut into 12 x 1 tiles"),
        ((1, 6, Halo.RECOMPUTED), r"a map of 5 x 5 pixels can't be cut into 1 x 6 tiles"),
        ((1, 6, Halo.KEPT), r"a map of 5 x 5 pixels can't be cut into 1 x 6 tiles"),
        ((2, 1, Halo.KEPT), r"a grid of 2 x 1 tiles keeps no halo rows"),
        ((0, 1, Halo.RECOMPUTED), r"a grid of 0 x 1 tiles has no tiles"),
        ((1, -1, Halo.KEPT), r"a grid of 1 x -1 tiles has no tiles"),
    ],
)
def test_impossible_grids_are_refused(stage: tuple[int, int, Halo], message: str) -> None:
    flow = Dataflow(network_named("branches")[0])
    with pytest.raises(McukitError, match=message) as error:
        plan_of(flow, (Stage(tuple(layer.name for layer in flow.layers), *stage),))
    assert error.value.problems[0].where == flow.layers[-1].name
    assert error.value.problems[0].hint


@pytest.mark.parametrize(
    ("name", "cut", "halo", "message"),
    [
        ("residual of the input", 1, Halo.KEPT, "it reads the input after the first stage"),
        ("residual", 3, Halo.RECOMPUTED, "into a first stage only that streams"),
    ],
)
def test_what_cannot_be_pushed_is_refused(name: str, cut: int, halo: Halo, message: str) -> None:
    flow = Dataflow(network_named(name)[0])
    names = tuple(layer.name for layer in flow.layers)
    with pytest.raises(McukitError, match=message):
        plan_of(flow, (Stage(names[:cut], halo=halo), Stage(names[cut:])), pushed=True)
