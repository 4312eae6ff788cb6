# SPDX-License-Identifier: Apache-2.0
"""Real networks under every schedule: the same bytes, in as little memory and with as few instructions as promised."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcukit.planning.choose import PlanRequest, choose_plan
from mcukit.planning.dataflow import Dataflow
from mcukit.planning.plan import Stage
from mcukit.planning.planner import plan_layers
from mcukit.planning.tiles import stage_tiles, tile_macs
from mcukit.quantized.kernel_sets import KernelSet
from mcukit.quantized.lower import lower
from mcukit.workflow.emulate import emulate
from mcukit.workflow.verify import verify
from tests.builds import under
from tests.export.patch_proof import assert_same_bytes_in_less
from tests.networks.conftest import NETWORKS, Prepared, networks

REQUESTS = {
    "stream": PlanRequest("stream"),
    "pushed": PlanRequest("stream", pushed=True),
    "patches": PlanRequest("patches"),
    "strips": PlanRequest("strips"),
}
LIMITS = {"vww": (31, 19), "mobilenet-v1": (54, 28), "mobilenet-v2": (225, 150)}
"""KiB of arena with the whole input in memory, and with rows pushed; every MAC computed once."""

PATCHED_SHARES = {"vww": 0.66, "resnet8": 0.76, "mobilenet-v1": 0.59}
"""Arena of the file in tiles beside that of the plain file, as TensorFlow Lite Micro reports both."""

STREAMING = {KernelSet.PORTABLE: (1.03, 1.03), KernelSet.DSP: (1.08, 1.12)}
"""Instructions beside those of whole layers, with the whole input in memory and with rows pushed. DSP kernels take a
third of them, each call costs more, and rows that come one by one don't share what prepares a depthwise kernel."""

each_network = pytest.mark.parametrize("prepared", networks(quantized=False), indirect=True)


def only(*names: str) -> pytest.MarkDecorator:
    chosen = [pytest.param(network, id=network.name) for network in NETWORKS if network.name in names]
    return pytest.mark.parametrize("prepared", chosen, indirect=True)


@each_network
@pytest.mark.parametrize("schedule", REQUESTS)
def test_every_schedule_computes_the_bytes_of_the_reference(prepared: Prepared, schedule: str, tmp_path: Path) -> None:
    if prepared.sample is not None and schedule != "stream":
        pytest.skip("it takes minutes: --every-input runs it")
    plan = choose_plan(prepared.build.model, REQUESTS[schedule]).plan
    assert schedule == "pushed" or schedule in plan.schedule.split("+")
    assert plan.pushed == (schedule == "pushed")
    build = under(prepared.build, plan, tmp_path)
    for target in ("plan", "host", "cortex-m4") if prepared.sample is None else ("host",):
        inputs = prepared.inputs[:4] if target == "host" else prepared.emulated[:2]
        result = verify(build, target, inputs)
        assert result.equal, (target, result.first_difference)
        assert result.inputs == len(inputs)
        assert result.layers_compared >= len(build.model.layers) * 0.8


@only(*LIMITS)
@pytest.mark.parametrize("pushed", [False, True], ids=["whole", "pushed"])
def test_arena_of_the_streamed_network(prepared: Prepared, pushed: bool) -> None:
    found = choose_plan(prepared.build.model, PlanRequest("stream", pushed=pushed))
    assert found.macs_redundant == 0
    assert found.plan.arena_bytes <= LIMITS[prepared.network.name][pushed] * 1024


@pytest.mark.parametrize(
    ("prepared", "kernels"),
    [
        pytest.param(network, kernels, id=f"{network.name}-{kernels}")
        for network in NETWORKS
        for kernels in STREAMING
        # Two networks show what portable kernels do, which run for minutes.
        if not network.name.endswith("-int8") and (kernels == KernelSet.DSP or network.name in {"vww", "mobilenet-v1"})
    ],
    indirect=["prepared"],
)
def test_streaming_costs_a_few_percent_more_instructions_than_layers(
    prepared: Prepared, kernels: KernelSet, tmp_path: Path
) -> None:
    if prepared.sample is not None:
        pytest.skip("it takes minutes: --every-input runs it")
    model = lower(prepared.build.model.graph, kernels)
    plans = {
        "layers": plan_layers(model),
        "stream": choose_plan(model, REQUESTS["stream"]).plan,
        "pushed": choose_plan(model, REQUESTS["pushed"]).plan,
    }
    counts = {}
    for name, plan in plans.items():
        run = emulate(under(prepared.build, plan, tmp_path / name, model), "cortex-m4", prepared.inputs[:1])
        assert run.arena_bytes == plan.arena_bytes
        counts[name] = run.instructions or 0
    whole, pushed = STREAMING[kernels]
    assert 0 < counts["stream"] <= whole * counts["layers"]
    assert 0 < counts["pushed"] <= pushed * counts["layers"]


@only("mobilenet-v2")
def test_patches_cost_what_mcunetv2_says(prepared: Prepared) -> None:
    """MobileNetV2 split at 28x28x32 into 4 x 4 patches: 1.26 times the multiply-accumulates of the whole network."""
    flow = Dataflow(prepared.build.model)
    shapes = [flow.shape(layer.output) for layer in flow.layers]
    additions = [
        index
        for index, layer in enumerate(flow.layers)
        if shapes[index] == (28, 28, 32) and layer.node.operator.op_name == "add"
    ]
    last = additions[0] + 1
    stage = Stage(tuple(layer.name for layer in flow.layers[:last]), 4, 4)
    total = tile_macs(flow, stage_tiles(flow, 0, last, stage)) + sum(flow.macs[last:])
    assert round(total / sum(flow.macs), 2) == 1.26


@only(*PATCHED_SHARES)
def test_patches_save_memory_in_an_unmodified_interpreter(prepared: Prepared, pytestconfig: pytest.Config) -> None:
    """The .tflite file in tiles: the bytes of the plain one, in the arena that TensorFlow Lite Micro itself reports."""
    pytest.importorskip("tflite_micro", reason="the tflite-micro package is not installed")
    if prepared.network.name != "vww" and not pytestconfig.getoption("--every-input"):
        pytest.skip("each network takes a quarter of a minute: --every-input runs all")
    inputs = prepared.inputs.reshape(-1, *prepared.build.model.input.shape[1:])
    assert_same_bytes_in_less(prepared.build.model, inputs, PATCHED_SHARES[prepared.network.name])
