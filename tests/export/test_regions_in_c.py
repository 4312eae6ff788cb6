# SPDX-License-Identifier: Apache-2.0
"""Plans over several memory regions as C: one array for each, of the size that was planned, and the same bytes."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from mcukit.emulation.build import CSources, build_runner
from mcukit.emulation.reference import run_reference
from mcukit.emulation.runner import run_on_target
from mcukit.emulation.targets import TARGETS
from mcukit.emulation.toolchain import find_tool
from mcukit.errors import McukitError
from mcukit.export.c_code import generate_c
from mcukit.planning.check import check_plan
from mcukit.planning.dataflow import Dataflow
from mcukit.planning.plan import DEFAULT_REGION, Plan
from mcukit.planning.planner import plan_of
from mcukit.planning.region_budget import RegionBudget
from mcukit.quantized.integer import IntegerModel
from tests.planning.small_network import PLANS, network, stages_of

SECTION_ALIGNMENT = 16
"""Of an arena: between two of them the linker leaves less than this."""


@dataclass(frozen=True)
class Memory:
    """Shares of the arena that the plan needs in one region, and which regions DMA does not reach."""

    shares: dict[str, float]
    without_dma: tuple[str, ...] = ()

    def regions(self, arena_bytes: int) -> tuple[RegionBudget, ...]:
        return tuple(
            RegionBudget(name, int(share * arena_bytes), dma=name not in self.without_dma)
            for name, share in self.shares.items()
        )


TWO = Memory({"dtcm": 0.5, "axi": 1.0}, ("dtcm",))
THREE = Memory({"dtcm": 0.2, "axi": 0.65, "d2": 0.85}, ("dtcm",))
MEMORIES = {"two": TWO, "three": THREE}


@functools.cache
def small(schedule: str) -> tuple[Dataflow, Plan]:
    """The small network, and its plan in one region."""
    flow = Dataflow(network())
    return flow, plan_of(flow, stages_of(flow, schedule), pushed=PLANS[schedule][1])


def spread(flow: Dataflow, plan: Plan, memory: Memory) -> Plan:
    """The same stages in several regions, with the hottest weights in what is left of the first one."""
    regions = memory.regions(plan.arena_bytes)
    fast = RegionBudget(regions[0].name, regions[0].bytes + 150, dma=regions[0].dma)
    weight_regions = (fast, RegionBudget("flash", 1 << 20, "flash"))
    found = plan_of(flow, plan.stages, pushed=plan.pushed, regions=regions, weight_regions=weight_regions)
    check_plan(flow, found)
    return found


def written(model: IntegerModel, plan: Plan, folder: Path) -> CSources:
    files = generate_c(model, plan)
    for name, text in files.items():
        (folder / name).write_text(text)
    (name,) = (file.removesuffix("_weights.c") for file in files if file.endswith("_weights.c"))
    layers = len(model.steps)
    return CSources(name, folder, layers, model.input.elements, model.outputs[0].elements)


def inputs_of(model: IntegerModel) -> np.ndarray:
    return np.random.default_rng(3).integers(-128, 128, (2, model.input.elements)).astype(np.int8)


def require_tools(target: str) -> None:
    for tool in filter(None, (TARGETS[target].compiler, TARGETS[target].emulator)):
        try:
            find_tool(tool)
        except McukitError:
            pytest.skip(f"{tool} is not installed")


@pytest.mark.parametrize("memory", MEMORIES)
@pytest.mark.parametrize("schedule", PLANS)
def test_the_host_computes_the_same_bytes(schedule: str, memory: str, tmp_path: Path) -> None:
    flow, single = small(schedule)
    plan = spread(flow, single, MEMORIES[memory])
    assert len(plan.arenas) == len(MEMORIES[memory].shares), "the case is to be one of several arenas"
    require_same_bytes(flow.model, plan, "host", tmp_path)


@pytest.mark.parametrize("target", ["cortex-m3", "cortex-m7", "cortex-m33", "riscv32"])
@pytest.mark.parametrize(("schedule", "memory"), [("stream", "two"), ("mixture", "three")])
def test_emulated_cores_compute_the_same_bytes(schedule: str, memory: str, target: str, tmp_path: Path) -> None:
    require_tools(target)
    flow, single = small(schedule)
    require_same_bytes(flow.model, spread(flow, single, MEMORIES[memory]), target, tmp_path)


def require_same_bytes(model: IntegerModel, plan: Plan, target: str, folder: Path) -> None:
    """Runs the C, and compares its outputs and all maps with the reference."""
    inputs = inputs_of(model)
    run = run_on_target(written(model, plan, folder), target, inputs, trace=True)
    expected = run_reference(model, inputs.reshape(-1, *model.input.shape[1:]), keep_maps=True)
    np.testing.assert_array_equal(run.outputs, expected.outputs[0].reshape(len(inputs), -1))
    assert run.traces is not None
    assert run.computed is not None
    flow = Dataflow(model)
    for index, (maps, masks) in enumerate(zip(run.traces, run.computed, strict=True)):
        assert sorted(maps) == list(range(len(flow.layers)))
        for layer, traced in maps.items():
            wanted = expected.maps[flow.layers[layer].output][index].ravel()
            found = np.frombuffer(traced, np.int8)
            np.testing.assert_array_equal(found[masks[layer]], wanted[masks[layer]], flow.layers[layer].name)


@pytest.mark.parametrize("target", ["cortex-m7", "riscv32"])
@pytest.mark.parametrize("memory", MEMORIES)
def test_arenas_have_the_sizes_that_were_planned(memory: str, target: str, tmp_path: Path) -> None:
    require_tools(target)
    flow, single = small("mixture")
    plan = spread(flow, single, MEMORIES[memory])
    sources = written(flow.model, plan, tmp_path)
    run = run_on_target(sources, target, inputs_of(flow.model)[:1])
    assert 0 <= run.arena_bytes - plan.arena_bytes < SECTION_ALIGNMENT * len(plan.arenas)
    assert run.weight_bytes == flow.model.weight_bytes
    program = build_runner(sources, TARGETS[target], tmp_path, trace=False, profile=False, sanitize=False)
    assert program.elf is not None
    sizes = {name: symbol.size for name, symbol in program.elf.symbols.items() if name.startswith("arena")}
    assert sizes == {f"arena_{region}": size for region, size in plan.arenas.items()}
    assert sum(sizes.values()) == plan.arena_bytes


def test_every_array_says_its_region() -> None:
    flow, single = small("mixture")
    plan = spread(flow, single, THREE)
    files = generate_c(flow.model, plan)
    arenas = dict(re.findall(r"^MK_ARENA_IN\((\w+)\) static int8_t (\w+)\[", files["net.c"], re.MULTILINE))
    assert arenas == {region: f"arena_{region}" for region in plan.arenas}
    assert "MK_ARENA " not in files["net.c"]
    for region, size in plan.arenas.items():
        assert f"#define NET_ARENA_{region.upper()}_BYTES {size}\n" in files["net.h"]
    assert f"#define NET_ARENA_BYTES {plan.arena_bytes}\n" in files["net.h"]


def test_only_weights_beside_the_default_region_say_theirs() -> None:
    flow, single = small("layers")
    plan = spread(flow, single, TWO)
    text = generate_c(flow.model, plan)["net_weights.c"]
    found = re.findall(r"^(MK_WEIGHTS(?:_IN\(\w+\))?) const \w+ net_(\w+)_layer_(\w+)\[", text, re.MULTILINE)
    assert len(found) == sum(len(kernel.constants) for kernel in flow.kernels)
    for macro, layer, _ in found:
        region = plan.weights.get(f"{layer}_layer")
        assert macro == (f"MK_WEIGHTS_IN({region})" if region else "MK_WEIGHTS")
    assert {macro for macro, _, _ in found} == {"MK_WEIGHTS", "MK_WEIGHTS_IN(dtcm)"}


def test_plans_for_no_board_name_no_region() -> None:
    flow, single = small("layers")
    files = generate_c(flow.model, single)
    assert list(single.arenas) == [DEFAULT_REGION]
    assert "_IN(" not in files["net.c"] + files["net_weights.c"]
