# SPDX-License-Identifier: Apache-2.0
"""Sets of kernels: who chooses them, and that a build says which one it has."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from mcukit.boards import list_boards, load_board
from mcukit.errors import McukitError
from mcukit.planning.costs import list_cost_targets
from mcukit.quantized.integer import other_kernels
from mcukit.quantized.kernel_sets import KernelSet
from mcukit.report.core import kernels_text
from mcukit.workflow.build import Build, load_build
from mcukit.workflow.kernels import chosen_kernels, kernels_for_target
from mcukit.workflow.options import QuantizeOptions
from mcukit.workflow.quantize import quantize
from tests.importers.onnx_text import network


def test_the_board_chooses_and_the_user_may_differ() -> None:
    unset, portable, dsp = QuantizeOptions(), QuantizeOptions(kernels="portable"), QuantizeOptions(kernels="dsp")
    f407, f103 = load_board("disco_f407vg"), load_board("bluepill_f103c8")
    assert [chosen_kernels(unset, board) for board in (None, f407, f103)] == ["dsp", "dsp", "portable"]
    assert {chosen_kernels(portable, board) for board in (None, f407, f103)} == {KernelSet.PORTABLE}
    assert chosen_kernels(dsp, f407) is KernelSet.DSP


@pytest.mark.parametrize(
    ("kernels", "message"), [("fast", "there are no kernels 'fast'"), ("dsp", "no DSP instr"), ("mve", "no Helium")]
)
def test_sets_that_cannot_be_are_refused(kernels: str, message: str) -> None:
    with pytest.raises(McukitError, match=message) as caught:
        chosen_kernels(QuantizeOptions(kernels=kernels), load_board("bluepill_f103c8"))
    (problem,) = caught.value.problems
    assert (problem.where, problem.hint is not None, caught.value.exit_code) == ("--kernels", True, 2)


def test_boards_have_the_kernels_of_their_cores() -> None:
    assert {(board.dsp, board.kernels) for board in list_boards()} == {(True, "dsp"), (False, "portable")}


def test_targets_have_the_kernels_of_their_cores() -> None:
    found = {target: kernels_for_target(target).value for target in list_cost_targets()}
    assert found == {
        "cortex-m3": "portable",
        "cortex-m33": "dsp",
        "cortex-m4": "dsp",
        "cortex-m55": "mve",
        "cortex-m7": "dsp",
        "riscv32": "portable",
    }


@pytest.fixture(scope="module")
def portable(small_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Build:
    return quantize(small_model, tmp_path_factory.mktemp("portable") / "build", QuantizeOptions(kernels="portable"))


def test_a_build_says_which_kernels_it_has(small: Build, portable: Build) -> None:
    for build, kernels in ((small, "dsp"), (portable, "portable")):
        assert build.manifest["kernels"] == build.report["kernels"] == kernels
        assert build.model.kernels == load_build(build.folder).model.kernels == kernels
        code = (build.folder / "model" / "net.c").read_text()
        assert ("mk_conv2d_s8_dsp(" in code, "mk_conv2d_s8(" in code) == (kernels == "dsp", kernels != "dsp")
        assert ("Kernels: dsp" in code) == (kernels == "dsp")
        banner = (build.folder / "firmware" / "src" / "mcukit_board.h").read_text()
        assert 'MCUKIT_KERNELS "portable"' in banner
        assert ('MCUKIT_KERNELS "dsp"' in banner) == (kernels == "dsp")


def test_sets_differ_in_calls_and_scratch_memory_and_in_nothing_else(small: Build, portable: Build) -> None:
    for name in ("net_weights.c", "net_weights.h"):
        assert (small.folder / "model" / name).read_bytes() == (portable.folder / "model" / name).read_bytes()
    assert small.plan.arena_bytes >= portable.plan.arena_bytes
    assert small.report["weight_bytes"] == portable.report["weight_bytes"]


def test_a_build_that_does_not_say_has_portable_kernels(portable: Build, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(portable.folder, tmp_path / "old"))
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["kernels"]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    assert load_build(folder).model.kernels is KernelSet.PORTABLE


def test_a_manifest_with_another_set_is_refused(portable: Build, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(portable.folder, tmp_path / "new"))
    manifest = json.loads((folder / "manifest.json").read_text()) | {"kernels": "fast"}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(McukitError, match="makes no sense"):
        load_build(folder)


@pytest.fixture(scope="module")
def chosen(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """A large convolution with a DSP kernel, and a small one with a portable one."""
    folder = tmp_path_factory.mktemp("chosen")
    nodes = "c = Conv<pads=[1,1,1,1]>(x, first)\n p = GlobalAveragePool(c)\n y = Conv(p, second)"
    constants = {"first": (4, 3, 3, 3), "second": (3, 4, 1, 1)}
    (folder / "net.onnx").write_bytes(network("(float[N,3,4,4] x) => (float[N,3,1,1] y)", nodes, constants))
    return quantize(folder / "net.onnx", folder / "build", QuantizeOptions(board="nucleo_f446re"))


def test_a_build_keeps_the_kernels_that_were_chosen_for_its_layers(chosen: Build) -> None:
    functions = [layer.kernel.function for layer in chosen.model.steps if layer.kernel]
    assert functions == ["mk_conv2d_s8_dsp", "mk_average_pool_s8", "mk_conv2d_s8"]
    kernels = json.loads((chosen.folder / "plan.json").read_text())["kernels"]
    assert (kernels["set"], [other["set"] for other in kernels["others"]]) == ("dsp", ["portable"])
    again = load_build(chosen.folder).model
    assert [layer.kernel.function for layer in again.steps if layer.kernel] == functions
    assert chosen.report["kernel_costs"] == "cortex-m4"
    first, _, last = (layer for layer in chosen.report["layers"])
    for layer, cheapest in ((first, "mk_conv2d_s8_dsp"), (last, "mk_conv2d_s8")):
        estimates = layer["kernel_estimates"]
        assert (layer["kernel"], len(estimates)) == (cheapest, 2)
        assert estimates[cheapest]["instructions"] == min(each["instructions"] for each in estimates.values())


def test_chosen_kernels_are_shown(chosen: Build) -> None:
    text = "dsp; of 3 layers 2 portable, 1 dsp; 1 more could have dsp kernels"
    assert kernels_text(chosen.report) == text
    assert text in (chosen.folder / "report.html").read_text()
    header = (chosen.folder / "model" / "net.h").read_text()
    assert '"1 mk_average_pool_s8, " \\\n    "1 mk_conv2d_s8, " \\\n    "1 mk_conv2d_s8_dsp"\n' in header
    report = (chosen.folder / "report.html").read_text()
    each = r'[\d,]+ instructions, [\d,]+ row by row, [\d,]+ bytes[^;"]* of scratch memory'
    assert re.search(f'title="mk_conv2d_s8: {each}; mk_conv2d_s8_dsp: {each}">mk_conv2d_s8_dsp<', report)


def test_a_plan_handed_back_keeps_its_kernels(chosen: Build, tmp_path: Path) -> None:
    plan = json.loads((chosen.folder / "plan.json").read_text())
    model, path = chosen.folder.parent / "net.onnx", tmp_path / "plan.json"
    for kernels in (plan["kernels"], {"set": "dsp"}):
        path.write_text(json.dumps({"schema": 1, "stages": plan["stages"], "kernels": kernels}))
        again = quantize(model, tmp_path / "build", QuantizeOptions(board="nucleo_f446re", plan=str(path)))
        assert other_kernels(again.model) == {each["layer"]: each["set"] for each in kernels.get("others", ())}
        assert other_kernels(load_build(again.folder).model) == other_kernels(again.model)
    wrong = {"set": "dsp", "others": [{"layer": "net", "set": "dsp"}]}
    path.write_text(json.dumps({"schema": 1, "stages": plan["stages"], "kernels": wrong}))
    with pytest.raises(McukitError, match="there is no layer 'net'"):
        quantize(model, tmp_path / "build", QuantizeOptions(board="nucleo_f446re", plan=str(path)))


@pytest.mark.parametrize("from_file", [False, True], ids=["searched", "in a file"])
def test_a_network_that_does_not_fit_gets_kernels_of_less_memory(
    chosen: Build, tmp_path: Path, from_file: bool
) -> None:
    model, options = chosen.folder.parent / "net.onnx", {"kernels": "dsp", "plan": "layers"}
    if from_file:
        stages = json.loads((chosen.folder / "plan.json").read_text())["stages"]
        (tmp_path / "stages.json").write_text(json.dumps({"schema": 1, "stages": stages}))
        options["plan"] = str(tmp_path / "stages.json")
    needed = quantize(model, tmp_path / "free", QuantizeOptions(**options)).plan.arena_bytes
    build = quantize(model, tmp_path / "tight", QuantizeOptions(**options, sram=needed - 1))
    assert build.plan.arena_bytes < needed
    functions = [layer.kernel.function for layer in load_build(build.folder).model.steps if layer.kernel]
    assert functions == ["mk_conv2d_s8", "mk_average_pool_s8", "mk_conv2d_s8"]
    assert kernels_text(build.report) == "dsp; of 3 layers 3 portable; 2 more could have dsp kernels"
    assert from_file == (build.report["plan"]["search"] is None)
    with pytest.raises(McukitError, match="1 byte too many"):
        quantize(model, tmp_path / "none", QuantizeOptions(**options, sram=build.plan.arena_bytes - 1))


def test_a_plan_with_places_of_an_earlier_version_has_the_kernels_that_it_was_made_with(
    chosen: Build, tmp_path: Path
) -> None:
    """Those of the network's set: others were not chosen then, and plans did not mention kernels."""
    model, options = chosen.folder.parent / "net.onnx", {"kernels": "dsp"}
    plan = json.loads((chosen.folder / "plan.json").read_text())
    own = tmp_path / "own.json"
    own.write_text(json.dumps({"schema": 1, "stages": plan["stages"], "kernels": {"set": "dsp"}}))
    placed_folder = quantize(model, tmp_path / "own", QuantizeOptions(**options, plan=str(own))).folder
    placed = json.loads((placed_folder / "plan.json").read_text())
    del placed["kernels"]
    own.write_text(json.dumps(placed))
    again = quantize(model, tmp_path / "again", QuantizeOptions(**options, plan=str(own)))
    assert other_kernels(again.model) == {}
    portable = QuantizeOptions(kernels="portable", plan=str(chosen.folder / "plan.json"))
    with pytest.raises(McukitError, match="places were made for dsp kernels, and the network has portable ones"):
        quantize(model, tmp_path / "portable", portable)


def test_where_flash_is_short_layers_keep_kernels_of_one_set(chosen: Build, tmp_path: Path) -> None:
    """Those of a second set are more code."""
    emulation = chosen.report["emulation"]
    if emulation is None:
        pytest.skip("code is not compiled here: the tools for it are missing")
    used = emulation["code_bytes"] + emulation["weight_bytes"]
    options = QuantizeOptions(board="nucleo_f446re", flash=used - 1)
    model = chosen.folder.parent / "net.onnx"
    build = quantize(model, tmp_path / "build", options)
    assert other_kernels(build.model) == {}
    assert build.report["budget"]["fits_flash"]
    with pytest.raises(McukitError, match="bytes of flash"):
        quantize(model, tmp_path / "none", replace(options, flash=2000))
