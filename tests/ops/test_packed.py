# SPDX-License-Identifier: Apache-2.0
"""Maps and weights of 8, 4 and 2 bits in any mix: every operator, every cell, every executor, every byte."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import pytest

from mcukit.emulation.reference import run_reference
from mcukit.ops.requantize import Requantize
from mcukit.planning.dataflow import Dataflow
from mcukit.planning.plan import Halo, Stage
from mcukit.planning.planner import plan_of
from mcukit.quantized.packing import MAP_BITS
from tests.ops.harness import Case, case_graph, compare, quantize_case, run_c, run_micro
from tests.planning.batch import Job, require_all_right

REQUANTIZE = tuple(Case(Requantize(), ((1, 2, 3, channels),)) for channels in range(1, 10))

CASES = (*REQUANTIZE,)
"""What each operator is tried on with every mix of bits; the first case of each operator on emulated cores too."""

FIRST = tuple({case.operator.op_name: case for case in reversed(CASES)}.values())


def cells(case: Case) -> list[Case]:
    """The case with every mix of bits that its operator can have."""
    weights = MAP_BITS if case.operator.has_weights else (8,)
    outputs = (None,) if case.operator.ties_quantization else MAP_BITS
    return [
        replace(case, bits=(source, target or source, weight))
        for source, target, weight in itertools.product(MAP_BITS, outputs, weights)
        if (source, target or source, weight) != (8, 8, 8)
    ]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_bytes_agree_in_every_cell(case: Case, tmp_path: Path) -> None:
    """The C under sanitizers, in nothing but the planned memory, layer by layer and in tiles; and TFLite Micro."""
    jobs = []
    for cell in cells(case):
        model, inputs = quantize_case(cell, case_graph(cell))
        compare(cell, "TFLM", run_reference(model, inputs, keep_maps=True).maps, run_micro(model, inputs))
        flow = Dataflow(model)
        names = tuple(layer.name for layer in flow.layers)
        height, width, _ = flow.shape(model.outputs[0].name)
        stages = [Stage(names), Stage(names, halo=Halo.KEPT)]
        if width > 1:
            stages.append(Stage(names, min(height, 2), 2))
        jobs += [Job(f"{cell}, {stage.schedule}", model, plan_of(flow, (stage,)), inputs) for stage in stages]
    require_all_right(jobs, tmp_path)


@pytest.mark.parametrize("target", ["cortex-m4", "riscv32"])
@pytest.mark.parametrize("case", FIRST, ids=str)
def test_emulated_cores_compute_the_same_bytes(case: Case, target: str) -> None:
    for cell in cells(case)[::3]:
        model, inputs = quantize_case(cell, case_graph(cell))
        compare(cell, target, run_reference(model, inputs, keep_maps=True).maps, run_c(model, inputs, target))
