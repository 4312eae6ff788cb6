# SPDX-License-Identifier: Apache-2.0
"""Boards' linker scripts: what a network takes of each region is what the report says, and too little is an error."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from mcukit.boards import Board, list_boards, load_board
from mcukit.emulation.build import CSources, measure_footprint, model_defines, model_objects
from mcukit.emulation.targets import TARGETS, Target
from mcukit.emulation.toolchain import compile_objects, find_tool
from mcukit.export.board_script import board_script
from mcukit.export.c_code import generate_c
from mcukit.planning.choose import Planned
from mcukit.planning.dataflow import Dataflow
from mcukit.planning.plan import Plan
from mcukit.planning.planner import plan_of
from mcukit.planning.region_budget import RegionBudget
from mcukit.planning.regions import linked_weights
from mcukit.report.content import TfliteFacts, report_content
from mcukit.report.regions import region_content
from mcukit.resources import firmware_dir
from mcukit.workflow.quantize import QuantizeOptions, quantize
from tests.planning.small_network import network, stages_of

VWW = Path(__file__).parents[3] / "shared" / "models" / "vww" / "vww_96_int8.tflite"
BOARDS = {board.id: board for board in list_boards()}
XTENSA = {board_id for board_id, board in BOARDS.items() if board.core.startswith("xtensa")}
"""Nothing here compiles for these."""

CODE = {".text", ".rodata", ".ARM.exidx", ".init_array"}


def target_of(board: Board) -> Target:
    return TARGETS[board.emulation_target or ""]


def objects_of(sources: CSources, target: Target) -> list[Path]:
    """The smallest program that uses a network."""
    footprint = firmware_dir() / "app" / "footprint.c"
    defines = model_defines(sources)
    includes = [sources.model_dir, firmware_dir() / "mcukit_nn" / "src"]
    return [*compile_objects([footprint], target, includes=includes, defines=defines), *model_objects(sources, target)]


def link(board: Board, objects: Sequence[Path], script: Path) -> subprocess.CompletedProcess[str]:
    target = target_of(board)
    compiler = find_tool(target.compiler)
    flags = [*target.machine_flags, "-nostartfiles", "-Wl,--gc-sections,--entry=main,--fatal-warnings", "-T", script]
    command = [compiler, *flags, *objects, "-o", script.with_suffix(".elf")]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def linked(board: Board, objects: Sequence[Path], script: Path) -> dict[str, tuple[int, int]]:
    """Sections of the program, as binutils read them: size and address by name."""
    done = link(board, objects, script)
    assert done.returncode == 0, done.stderr
    tool = find_tool(target_of(board).compiler.replace("gcc", "size"))
    listing = subprocess.run(
        [tool, "-A", "-d", script.with_suffix(".elf")], capture_output=True, text=True, check=True
    ).stdout
    found = re.findall(r"^(\.\S+) +(\d+) +(\d+)$", listing, re.MULTILINE)
    return {name: (int(size), int(address)) for name, size, address in found if not name.startswith(".debug")}


def of_regions(board: Board, sections: Mapping[str, tuple[int, int]]) -> dict[str, dict[str, int]]:
    """Bytes of each region by what they are for, from the addresses of sections alone."""
    found: dict[str, dict[str, int]] = {}
    flash = board.code_region
    for name, (size, address) in sections.items():
        if not size:
            continue
        (region,) = (region for region in board.memory if region.address <= address < region.end)
        assert address + size <= region.end
        kind = "weights" if name.startswith(".mcukit_weights") else "arena" if "arena" in name else "reserve"
        kind = "code" if name in CODE else kind
        entry = found.setdefault(region.name, {})
        entry[kind] = entry.get(kind, 0) + size
        if region.kind == "ram" and kind == "weights":
            found.setdefault(flash, {})
            found[flash]["weights"] = found[flash].get("weights", 0) + size
    return found


def reported(regions: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, int]]:
    keys = ("arena", "weights", "code", "reserve")
    return {region["name"]: {key: region[key] for key in keys if region[key]} for region in regions}


@pytest.mark.parametrize("board_id", ["nucleo_f446re", "nucleo_h743zi", "genericSTM32F405RG", "esp32-c3-devkitm-1"])
def test_a_real_network_takes_what_its_report_says(board_id: str, tmp_path: Path) -> None:
    if not VWW.exists():
        pytest.skip(f"{VWW} is not there")
    build = quantize(VWW, tmp_path / "build", QuantizeOptions(board=board_id))
    model, board = build.model, BOARDS[board_id]
    sources = CSources("vww_96_int8", build.folder / "model", len(model.steps), model.input.elements, 2)
    objects = objects_of(sources, target_of(board))
    sections = linked(board, objects, build.folder / "linker" / f"{board_id}.ld")
    assert of_regions(board, sections) == reported(build.report["regions"])
    for region in build.report["regions"]:
        taken = sum(region[key] for key in ("arena", "weights", "code", "reserve"))
        assert region["free"] == region["bytes"] - taken >= 0
        copied = region["kind"] == "ram" and region["weights"] > 0
        assert region["copied_by"] == (f"linker/{board_id}.ld" if copied else None)
    # The older figures say the same: all weights, with what aligns them, and code.
    emulation, flash = build.report["emulation"], build.report["regions"][-1]
    assert (flash["code"], flash["weights"]) == (emulation["code_bytes"], emulation["weight_bytes"])
    assert 0 <= flash["weights"] - build.report["weight_bytes"] < 4 * 2 * len(model.steps)
    assert sum(region["arena"] for region in build.report["regions"]) == build.report["arena_bytes"]
    if board_id == "nucleo_h743zi":
        assert build.report["regions"][1]["weights"] > 0, "the case is to be one of weights in RAM"


@dataclass(frozen=True)
class Spread:
    """Shares of the whole arena by region. copies: weights go into the first of them too."""

    shares: Mapping[str, float]
    copies: bool = False


SPREADS = {
    "nucleo_h743zi": Spread({"dtcm": 0.2, "axi": 0.65, "d2": 0.85}, copies=True),
    "nucleo_f746zg": Spread({"dtcm": 0.5, "sram": 1.0}, copies=True),
    **{name: Spread({"ccm": 0.5, "sram": 1.0}) for name in ("genericSTM32F405RG", "black_f407ve", "disco_f407vg")},
}
"""Of boards with several regions for arenas, of which the small network would fill but the first."""


@cache
def planned(board_id: str) -> tuple[Dataflow, Plan]:
    flow = Dataflow(network())
    stages = stages_of(flow, "mixture")
    spread, board = SPREADS.get(board_id), BOARDS[board_id]
    whole = plan_of(flow, stages)
    if spread is None:
        return flow, plan_of(flow, stages, regions=board.arena_regions, weight_regions=board.weight_regions)
    dma = {name: board.region(name).dma for name in spread.shares}
    regions = tuple(RegionBudget(n, int(share * whole.arena_bytes), dma=dma[n]) for n, share in spread.shares.items())
    first = replace(regions[0], bytes=regions[0].bytes + 150)
    weights = (*([first] if spread.copies else []), RegionBudget("flash", 1 << 20, "flash"))
    plan = plan_of(flow, stages, regions=regions, weight_regions=weights)
    assert len(plan.arenas) == len(spread.shares), "the case is to be one of several arenas"
    assert set(plan.weights.values()) == ({regions[0].name} if spread.copies else set())
    return flow, plan


def written(board_id: str, folder: Path) -> CSources:
    flow, plan = planned(board_id)
    for name, text in generate_c(flow.model, plan).items():
        (folder / name).write_text(text)
    model = flow.model
    return CSources("net", folder, len(model.steps), model.input.elements, model.outputs[0].elements)


@pytest.mark.parametrize("board_id", sorted(BOARDS.keys() - XTENSA))
def test_every_board_links_with_its_regions(board_id: str, tmp_path: Path) -> None:
    board, sources = BOARDS[board_id], written(board_id, tmp_path)
    target = target_of(board)
    (tmp_path / "board.ld").write_text(board_script(board))
    found = of_regions(board, linked(board, objects_of(sources, target), tmp_path / "board.ld"))
    flow, plan = planned(board_id)
    weights = linked_weights(flow, plan.weights, board.code_region)
    code = measure_footprint(sources, target, tmp_path).code_bytes
    assert found == reported(region_content(board, plan.arenas, weights, code))


def test_only_boards_with_xtensa_cores_are_not_linked() -> None:
    assert {board_id for board_id, board in BOARDS.items() if board.emulation_target is None} == XTENSA
    assert {"esp32dev", "esp32-s3-devkitc-1"} == XTENSA


def aligned(size: int) -> int:
    """As arenas are, whatever lies before them."""
    return -(-size // 16) * 16


OVERFLOWS = {
    "an arena": ("genericSTM32F405RG", "sram", lambda entry: entry["arena"] + entry["reserve"]),
    "an arena in core coupled memory": ("genericSTM32F405RG", "ccm", lambda entry: entry["arena"]),
    "an arena in a third region": ("nucleo_h743zi", "d2", lambda entry: entry["arena"]),
    "copies of weights": ("nucleo_h743zi", "dtcm", lambda entry: entry["arena"] + aligned(entry["weights"])),
    "the reserve": ("nucleo_h743zi", "axi", lambda entry: entry["arena"] + entry["reserve"]),
    "flash": ("nucleo_h743zi", "flash", lambda entry: entry["code"] + entry["weights"]),
    "flash of a RISC-V": ("esp32-c3-devkitm-1", "flash", lambda entry: entry["code"] + entry["weights"]),
    "RAM of a RISC-V": ("esp32-c3-devkitm-1", "dram", lambda entry: entry["arena"] + entry["reserve"]),
}


@pytest.mark.parametrize("case", OVERFLOWS)
def test_one_unit_too_few_is_an_error_of_the_linker(case: str, tmp_path: Path) -> None:
    """A region of just what it holds is enough, with what aligns an arena; 16 bytes fewer are not."""
    board_id, name, needed = OVERFLOWS[case]
    board, sources = BOARDS[board_id], written(board_id, tmp_path)
    objects = objects_of(sources, target_of(board))
    script = tmp_path / "board.ld"
    script.write_text(board_script(board))
    entry = of_regions(board, linked(board, objects, script))[name]
    size = aligned(needed(entry))

    def resized(size: int) -> Board:
        memory = tuple(replace(region, bytes=size) if region.name == name else region for region in board.memory)
        return replace(board, memory=memory)

    script.write_text(board_script(resized(size)))
    assert linked(board, objects, script)
    script.write_text(board_script(resized(size - 16)))
    done = link(board, objects, script)
    assert done.returncode != 0
    assert f"region `MCUKIT_{name.upper()}' overflowed by" in done.stderr


def test_an_arena_that_no_plan_has_put_anywhere_is_in_the_default_region(tmp_path: Path) -> None:
    board = load_board("genericSTM32F405RG")
    flow = Dataflow(network())
    plan = plan_of(flow, stages_of(flow, "mixture"))
    for name, text in generate_c(flow.model, plan).items():
        (tmp_path / name).write_text(text)
    sources = CSources("net", tmp_path, len(flow.model.steps), flow.model.input.elements, 4)
    script = tmp_path / "board.ld"
    script.write_text(board_script(board))
    found = of_regions(board, linked(board, objects_of(sources, target_of(board)), script))
    assert found["sram"] == {"arena": plan.arena_bytes, "reserve": 8192}
    report = report_content(
        flow.model,
        Planned(plan, "layers", None, board.cost_target),
        board=board,
        budget={"sram": None, "flash": None},
        calibrated=True,
        errors={},
        tflite=TfliteFacts(0, None),
        measurement=None,
    )
    assert reported(report["regions"]) == {"sram": found["sram"], "flash": {"weights": found["flash"]["weights"]}}
    assert report["regions"][-1]["code"] is None


def test_regions_may_be_called_what_linkers_take_for_something_else(tmp_path: Path) -> None:
    board = BOARDS["nucleo_f446re"]
    names = {"sram": "origin", "flash": "length", "backup": "memory"}
    placement = replace(board.placement, arena=("origin",), weights=("length",), stack="origin")
    board = replace(board, memory=tuple(replace(r, name=names[r.name]) for r in board.memory), placement=placement)
    script = tmp_path / "board.ld"
    script.write_text(board_script(replace(board, name="*/ INCLUDE x /*")))
    sources = written("esp32-c3-devkitm-1", tmp_path)
    assert linked(board, objects_of(sources, target_of(board)), script)
