# SPDX-License-Identifier: Apache-2.0
"""Real networks on a Cortex-M55 with the kernels for its vector instructions: right bytes, and what they save."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcukit.graph.region import whole_region
from mcukit.planning.choose import PlanRequest, choose_plan
from mcukit.planning.costs import load_costs
from mcukit.planning.planner import plan_layers
from mcukit.quantized.integer import with_kernels
from mcukit.quantized.kernel_sets import KernelSet
from mcukit.workflow.emulate import Emulation, emulate
from mcukit.workflow.verify import verify
from tests.builds import under
from tests.networks.conftest import Prepared
from tests.networks.test_plans import only

TARGET = "cortex-m55"
REQUESTS = {
    "demo": PlanRequest("strips", target=TARGET),
    "vww": PlanRequest("stream", pushed=True, target=TARGET),
    "resnet8": PlanRequest("patches", target=TARGET),
}
"""A schedule for each network. Tests of plans and kernels have all of them, on the host."""


@only(*REQUESTS)
def test_every_map_equals_the_reference(prepared: Prepared, tmp_path: Path) -> None:
    model = with_kernels(prepared.build.model, KernelSet.MVE)
    request = REQUESTS[prepared.network.name]
    build = under(prepared.build, choose_plan(model, request).plan, tmp_path, model)
    result = verify(build, TARGET, prepared.inputs[:1])
    assert result.equal, result.first_difference
    assert result.layers_compared >= len(model.layers) * 0.8


def counted(prepared: Prepared, kernels: KernelSet, target: str, folder: Path) -> Emulation:
    model = with_kernels(prepared.build.model, kernels)
    build = under(prepared.build, plan_layers(model), folder, model)
    return emulate(build, target, prepared.inputs[:1], layers=False)


@only("vww")
def test_instructions_are_a_third_of_those_with_dsp_kernels(prepared: Prepared, tmp_path: Path) -> None:
    found = counted(prepared, KernelSet.MVE, TARGET, tmp_path / "mve")
    dsp = counted(prepared, KernelSet.DSP, "cortex-m4", tmp_path / "dsp")
    assert found.instructions is not None
    assert dsp.instructions is not None
    assert 3 * found.instructions < dsp.instructions
    model, table = with_kernels(prepared.build.model, KernelSet.MVE), load_costs(TARGET)
    outputs = [(layer, whole_region(model.graph.tensors[layer.output])) for layer in model.layers]
    estimate = sum(table.instructions(layer, model.graph, region) for layer, region in outputs)
    assert estimate == pytest.approx(found.instructions, rel=0.03)
