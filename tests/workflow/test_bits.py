# SPDX-License-Identifier: Apache-2.0
"""Mixed precision from the model file to the build: searched for, within a budget, edited and handed back."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mcukit.budgets import Budgets
from mcukit.errors import McukitError
from mcukit.precision.quantmcu import QuantmcuOptions
from mcukit.precision.vdpc import VdpcOptions
from mcukit.workflow.bits import BitsOptions
from mcukit.workflow.build import Build, load_build
from mcukit.workflow.check import check_budgets
from mcukit.workflow.emulate import emulate
from mcukit.workflow.quantize import QuantizeOptions, quantize
from mcukit.workflow.verify import verify
from tests.importers.onnx_text import network

Edit = Callable[[dict[str, Any]], object]

IMAGES = 20
NODES = """
    a = Conv<kernel_shape=[3,3], pads=[1,1,1,1]>(x, w1, b1)
    r = Relu(a)
    c = Conv<kernel_shape=[3,3], pads=[1,1,1,1]>(r, w2, b2)
    s = Relu(c)
    d = Conv<kernel_shape=[3,3], strides=[2,2], pads=[1,1,1,1]>(s, w3, b3)
    t = Relu(d)
    e = Conv<kernel_shape=[1,1]>(t, w4, b4)
    p = GlobalAveragePool(e)
    f = Flatten(p)
    g = Gemm<transB=1>(f, w5, b5)
    h = Relu(g)
    y = Gemm<transB=1>(h, w6, b6)
"""
CONSTANTS = {
    "w1": (8, 3, 3, 3), "b1": (8,), "w2": (8, 8, 3, 3), "b2": (8,), "w3": (8, 8, 3, 3), "b3": (8,),
    "w4": (4, 8, 1, 1), "b4": (4,), "w5": (8, 4), "b5": (8,),
    "w6": (5, 8), "b6": (5,),
}  # fmt: skip
SENSITIVE = BitsOptions(max_error=1.0, images=8)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A float network, with images beside it whose upper left corner has large values."""
    folder = tmp_path_factory.mktemp("mixed")
    values = np.random.default_rng(0).normal(0.0, 0.2, (IMAGES, 12, 12, 3)).astype(np.float32)
    values[:, :3, :3] *= 6.0
    np.savez(folder / "calibration.npz", x=values)
    path = folder / "net.onnx"
    path.write_bytes(network("(float[1,3,12,12] x) => (float[1,5] y)", NODES, CONSTANTS))
    return path


@pytest.fixture(scope="module")
def int8(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Build:
    return quantize(model, tmp_path_factory.mktemp("mixed") / "build")


@pytest.fixture(scope="module")
def narrowest(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Build:
    """As far as the error allows."""
    return quantize(model, tmp_path_factory.mktemp("mixed") / "build", QuantizeOptions(bits=SENSITIVE))


@pytest.fixture(scope="module")
def static(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Build:
    return quantize(model, tmp_path_factory.mktemp("mixed") / "build", QuantizeOptions(bits=vdqs("static")))


@pytest.fixture(scope="module")
def runtime(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Build:
    return quantize(model, tmp_path_factory.mktemp("mixed") / "build", QuantizeOptions(bits=vdqs("runtime")))


def vdqs(vdpc: str, **options: Any) -> BitsOptions:
    """With so little weight on entropy that maps are narrowed."""
    return BitsOptions(search="vdqs", quantmcu=QuantmcuOptions(vdpc=vdpc, entropy_weight=0.1, **options))


def plan_of(build: Build) -> dict[str, Any]:
    return json.loads((build.folder / "plan.json").read_text())


def edited(build: Build, edit: Edit, path: Path, *, places: bool = False) -> Path:
    """The build's plan.json with a change, and without the places of maps unless they are asked for."""
    content = plan_of(build)
    if not places:
        content = {key: value for key, value in content.items() if key not in ("arenas", "maps", "scratch", "weights")}
    edit(content)
    path.write_text(json.dumps(content))
    return path


def generated(build: Build) -> dict[str, bytes]:
    """What is computed and how: the C, and the quantized network."""
    return {path.name: path.read_bytes() for path in sorted((build.folder / "model").iterdir())}


def refusal(model: Path, options: QuantizeOptions, output: Path) -> McukitError:
    """Nothing may have been written."""
    with pytest.raises(McukitError) as caught:
        quantize(model, output, options)
    assert not output.exists()
    return caught.value


def test_bits_fall_where_they_are_missed_least(int8: Build, narrowest: Build) -> None:
    plan = plan_of(narrowest)
    assert all(entry["bits"] in (2, 4) for entry in (*plan["bits"], *plan["weight_bits"]))
    assert narrowest.report["bitops"] < int8.report["bitops"] / 4
    assert narrowest.model.weight_bytes < int8.model.weight_bytes
    assert narrowest.plan.arena_bytes < int8.plan.arena_bytes
    assert not {"bits", "weight_bits", "branches"} & plan_of(int8).keys()


@pytest.mark.parametrize("on", ["plan", "host", "tflm"])
@pytest.mark.parametrize("name", ["narrowest", "static", "runtime"])
def test_executors_compute_equal_bytes(name: str, on: str, request: pytest.FixtureRequest) -> None:
    if on == "tflm":
        pytest.importorskip("tflite_micro", reason="the tflite-micro package is not installed")
    build = request.getfixturevalue(name)
    found = verify(build, on)
    assert found.equal, found.first_difference
    assert found.layers_compared > 0


def test_a_number_of_bitops_is_reached_and_not_much_less(int8: Build, model: Path, tmp_path: Path) -> None:
    asked = BitsOptions(max_error=1.0, images=8, bitops=2.0)
    build = quantize(model, tmp_path / "build", QuantizeOptions(bits=asked))
    assert int8.report["bitops"] / 8 < build.report["bitops"] <= int8.report["bitops"] / 2


@pytest.mark.parametrize("save", ["bitops", "instructions"])
def test_bitops_out_of_reach_are_refused_with_what_can_be_had(save: str, model: Path, tmp_path: Path) -> None:
    asked = BitsOptions(max_error=0.001, images=8, bitops=12.0, save=save)
    with pytest.raises(McukitError, match=r"make [0-9.]+ times fewer BitOPs, and 12 times were asked for") as caught:
        quantize(model, tmp_path / "build", QuantizeOptions(bits=asked))
    (problem,) = caught.value.problems
    assert problem.where == "--bitops"
    assert ("--save instructions" in problem.hint) == (save == "instructions")
    assert not (tmp_path / "build").exists()


@pytest.mark.parametrize("kept", ["maps", "weights"])
def test_maps_or_weights_alone(kept: str, model: Path, tmp_path: Path) -> None:
    asked = BitsOptions(max_error=1.0, images=8, maps=kept != "maps", weights=kept != "weights")
    plan = plan_of(quantize(model, tmp_path / "build", QuantizeOptions(bits=asked)))
    narrowed = {"maps": "weight_bits", "weights": "bits"}[kept]
    assert {"bits", "weight_bits"} & plan.keys() == {narrowed}


def test_a_budget_takes_as_many_bits_as_fit(int8: Build, narrowest: Build, model: Path, tmp_path: Path) -> None:
    needed = narrowest.plan.arena_bytes
    sram = (int8.plan.arena_bytes + needed) // 2
    options = QuantizeOptions(plan="layers", sram=sram)
    assert refusal(model, options, tmp_path / "int8").problems[0].code == "budget-exceeded"
    build = quantize(model, tmp_path / "build", QuantizeOptions(plan="layers", sram=sram, bits=SENSITIVE))
    assert needed < build.plan.arena_bytes <= sram
    roomy = quantize(model, tmp_path / "roomy", QuantizeOptions(sram=1 << 16, bits=SENSITIVE))
    assert roomy.report["bitops"] == int8.report["bitops"]


def test_few_bitops_are_reached_within_a_budget_too(int8: Build, model: Path, tmp_path: Path) -> None:
    def found(sram: int) -> Build:
        asked = BitsOptions(max_error=1.0, images=8, bitops=2.0)
        # The scratch memory of other kernels depends on bits too.
        options = QuantizeOptions(plan="layers", sram=sram, bits=asked, kernels="portable")
        return quantize(model, tmp_path / str(sram), options)

    build = found(1 << 16)
    assert int8.report["bitops"] / 8 < build.report["bitops"] <= int8.report["bitops"] / 2
    # Half the BitOPs alone would not fit.
    sram = build.plan.arena_bytes * 2 // 3
    tight = found(sram)
    assert tight.plan.arena_bytes <= sram
    assert tight.report["bitops"] < build.report["bitops"]


@pytest.mark.parametrize("budget", [{"sram": 300}, {"flash": 100}])
def test_a_budget_that_no_bits_meet(budget: dict[str, int], model: Path, tmp_path: Path) -> None:
    error = refusal(model, QuantizeOptions(bits=SENSITIVE, **budget), tmp_path / "build")
    (problem,) = error.problems
    assert problem.code == "budget-exceeded"
    assert "no bits that add at most 1 to the error" in problem.message
    assert "--max-error" in problem.hint


def test_patches_with_outliers_keep_their_bits(int8: Build, static: Build) -> None:
    branches = static.model.branches
    assert branches is not None
    assert branches.test is None
    tiles = branches.tile_rows * branches.tile_columns
    assert (0, 0) in branches.wide
    assert 0 < len(branches.wide) < tiles
    assert all((entry["bits"], entry["narrow"]) in ((8, 4), (8, 2)) for entry in plan_of(static)["bits"])
    assert static.model.weight_bytes > int8.model.weight_bytes


def test_errors_of_tiles_of_two_forms_are_those_of_rounding(runtime: Build, static: Build) -> None:
    """Pixels that a form leaves to the other one count in neither."""
    for build in (runtime, static):
        errors = [layer["error"] for layer in build.report["layers"] if layer["error"] is not None]
        assert len(errors) > 5
        assert min(error["cosine"] for error in errors) > 0.8


def test_patches_are_judged_on_the_device(runtime: Build) -> None:
    branches = runtime.model.branches
    assert branches is not None
    assert branches.test is not None
    assert not branches.wide
    assert len(branches.test.counts) == branches.tile_rows * branches.tile_columns


def test_random_bytes_run_tiles_of_both_forms(runtime: Build) -> None:
    """Uniform bytes are outliers nearly everywhere: they alone would leave the narrow kernels unproved."""
    assert verify(runtime, "host").unreached == ()
    narrow = [layer.name for layer in runtime.model.branches.layers]  # type: ignore[union-attr]
    wild = np.where(np.arange(runtime.model.input.elements) % 2, 127, -128).astype(np.int8)[np.newaxis]
    found = verify(runtime, "host", wild)
    assert found.equal
    assert list(found.unreached) == narrow


@pytest.mark.parametrize("name", ["static", "runtime"])
def test_branches_are_read_back(name: str, request: pytest.FixtureRequest) -> None:
    build = request.getfixturevalue(name)
    again, kept = load_build(build.folder).model.branches, build.model.branches
    assert again is not None
    assert kept is not None
    assert (again.tile_rows, again.tile_columns) == (kept.tile_rows, kept.tile_columns)
    assert (again.wide, again.test) == (kept.wide, kept.test)
    assert [layer.name for layer in again.layers] == [layer.name for layer in kept.layers]
    assert (build.folder / "model" / "narrow.npz").is_file()


@pytest.mark.parametrize("name", ["narrowest", "static", "runtime"])
def test_a_plan_handed_back_gives_the_same_bytes(
    name: str, model: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    build = request.getfixturevalue(name)
    again = quantize(model, tmp_path / "build", QuantizeOptions(plan=build.folder / "plan.json"))
    assert generated(again) == generated(build)
    assert plan_of(again) == plan_of(build)


def test_edited_bits_are_those_of_the_network(static: Build, model: Path, tmp_path: Path) -> None:
    def widen(content: dict[str, Any]) -> None:
        content["bits"] = [{"map": "r", "bits": 4, "narrow": 2}]
        content["weight_bits"] = [{"layer": "Conv_e", "bits": 4}]
        content["branches"]["wide"] = [{"row": 1, "column": 1}]

    path = edited(static, widen, tmp_path / "plan.json")
    build = quantize(model, tmp_path / "build", QuantizeOptions(plan=path))
    plan = plan_of(build)
    assert plan["bits"] == [{"map": "r", "bits": 4, "narrow": 2}]
    assert plan["weight_bits"] == [{"layer": "Conv_e", "bits": 4}]
    assert plan["branches"] == {"wide": [{"row": 1, "column": 1}]}
    assert generated(build) != generated(static)
    for on in ("plan", "host"):
        assert verify(build, on).equal


def change_bits(**values: object) -> Edit:
    """Of the first map in the list."""
    return lambda content: content["bits"][0].update(values)


def add_map(**entry: object) -> Edit:
    return lambda content: content["bits"].append(entry)


def first_stage(**values: object) -> Edit:
    return lambda content: content["stages"][0].update(values)


def branches(**values: object) -> Edit:
    return lambda content: content.update(branches=values)


def many(content: dict[str, Any]) -> None:
    content["stages"][0]["layers"] = [f"layer{index}" for index in range(30)]


BAD_PLANS: dict[str, tuple[Edit, str, str]] = {
    "3 bits": (change_bits(bits=3), "invalid-file", "3 is not 8, 4 or 2"),
    "narrow of 3 bits": (change_bits(narrow=3), "invalid-file", "3 is not 8, 4 or 2"),
    "16 bits": (change_bits(bits=16), "invalid-file", "16 is not 8, 4 or 2"),
    "unknown map": (add_map(map="other", bits=4), "bad-precision", "the network has no such map"),
    "unknown narrow map": (add_map(map="o", bits=8, narrow=4), "bad-precision", "the network has no such map"),
    "unknown layer": (
        lambda c: c.update(weight_bits=[{"layer": "o", "bits": 4}]), "bad-precision", "the network has no such node",
    ),
    "two widths in one group": (
        lambda c: c["bits"].extend([{"map": "e", "bits": 4}, {"map": "p", "bits": 2}]),
        "bad-precision", "2 bits, but 'e', with which it shares its scale, has 4",
    ),
    "an output of 4 bits": (add_map(map="y", bits=4), "bad-precision", "it can't have 4 bits, only 8"),
    "narrow without branches": (lambda c: c.pop("branches"), "invalid-file", "'narrow' is given, but no 'branches'"),
    "narrow behind the tiles": (add_map(map="h", bits=8, narrow=4), "bad-branches", "no layer in tiles computes it"),
    "narrow where tiles meet": (add_map(map="e", bits=8, narrow=4), "bad-branches", "'e' leaves the tiles"),
    "narrow that is wider": (change_bits(bits=4, narrow=8), "bad-branches", "8 bits in narrow tiles and 4 in"),
    "a tile outside of the grid": (branches(wide=[{"row": 99, "column": 0}]), "bad-branches", "outside of the grid"),
    "positions and values": (
        branches(wide=[{"row": 0, "column": 0}], test={"low": 0, "high": 1, "counts": [1]}),
        "invalid-file", "positions in 'wide' decide already",
    ),
    "too few counts": (branches(test={"low": 0, "high": 1, "counts": [1]}), "bad-branches", "1 count of outliers"),
    "no stages": (lambda c: c.pop("stages"), "invalid-file", "is missing"),
    "an empty list of stages": (lambda c: c.update(stages=[]), "invalid-file", "there is none"),
    "a stage of unknown layers": (first_stage(layers=["other"]), "bad-stage", "the first stage has others"),
    "a stage of too many layers": (many, "bad-stage", "the first stage has others"),
    "a grid that is too fine": (first_stage(grid=[30, 30]), "bad-stage", "can't be cut into 30 x 30 tiles"),
    "rows pushed into tiles": (lambda c: c.update(pushed=True), "bad-stage", "tiles have two precisions"),
}  # fmt: skip


@pytest.mark.parametrize(("edit", "code", "message"), BAD_PLANS.values(), ids=BAD_PLANS)
def test_bits_that_contradict_the_network(
    edit: Edit, code: str, message: str, static: Build, model: Path, tmp_path: Path
) -> None:
    path = edited(static, edit, tmp_path / "plan.json")
    error = refusal(model, QuantizeOptions(plan=path), tmp_path / "build")
    assert any(problem.code == code and message in problem.message for problem in error.problems), str(error)


def test_places_that_do_not_fit_the_new_bits(static: Build, model: Path, tmp_path: Path) -> None:
    path = edited(static, change_bits(bits=4), tmp_path / "plan.json", places=True)
    error = refusal(model, QuantizeOptions(plan=path), tmp_path / "build")
    assert {problem.code for problem in error.problems} == {"bad-plan"}
    assert "in 4 bits" in str(error)


def test_bits_are_given_or_searched_for(static: Build, model: Path, tmp_path: Path) -> None:
    options = QuantizeOptions(plan=static.folder / "plan.json", bits=SENSITIVE)
    error = refusal(model, options, tmp_path / "build")
    assert (error.problems[0].code, error.problems[0].where, error.exit_code) == ("wrong-option", "--bits", 2)


@pytest.mark.parametrize(
    ("options", "where"),
    [
        ({"plan": "stream"}, "--plan"),
        ({"plan": "layers"}, "--plan"),
        ({"plan": "strips"}, "--plan"),
        ({"push_rows": True}, "--push-rows"),
    ],
)
def test_vdqs_forms_its_own_patches(options: dict[str, Any], where: str, model: Path, tmp_path: Path) -> None:
    error = refusal(model, QuantizeOptions(bits=vdqs("off"), **options), tmp_path / "build")
    assert (error.problems[0].code, error.problems[0].where, error.exit_code) == ("wrong-option", where, 2)


def test_too_few_images_show_no_outliers(model: Path, tmp_path: Path) -> None:
    error = refusal(model, QuantizeOptions(bits=vdqs("static"), calibration_limit=8), tmp_path / "build")
    assert [problem.code for problem in error.problems] == ["too-few-images"]
    assert quantize(model, tmp_path / "off", QuantizeOptions(bits=vdqs("off"), calibration_limit=8)).model


def test_an_int8_network_keeps_its_integers(int8: Build, tmp_path: Path) -> None:
    tflite = int8.folder / "tflite" / "net.tflite"
    error = refusal(tflite, QuantizeOptions(bits=SENSITIVE), tmp_path / "build")
    assert [(p.code, p.where) for p in error.problems] == [("unsupported-quantization", "--bits")]
    kept = quantize(tflite, tmp_path / "kept")
    for change in ({"branches": {"wide": []}}, {"weight_bits": [{"layer": "any", "bits": 4}]}):
        path = edited(kept, lambda content, change=change: content.update(change), tmp_path / "plan.json")
        error = refusal(tflite, QuantizeOptions(plan=path), tmp_path / "build")
        assert [(p.code, p.where) for p in error.problems] == [("unsupported-quantization", "--plan")]


def test_all_wrong_options_are_told_at_once(model: Path, tmp_path: Path) -> None:
    quantmcu = QuantmcuOptions(entropy_weight=2.0, classes=VdpcOptions(phi=1.0, tau=1.0, min_outliers=0))
    wrong = BitsOptions("best", float("nan"), float("inf"), maps=False, weights=False, images=0, quantmcu=quantmcu)
    error = refusal(model, QuantizeOptions(bits=wrong), tmp_path / "build")
    assert {problem.code for problem in error.problems} == {"wrong-option"}
    assert len(error.problems) == 9
    assert error.exit_code == 2


@pytest.mark.parametrize("bits", [BitsOptions(max_error=float("inf")), BitsOptions(bitops=0.5)])
def test_numbers_that_are_no_aim(bits: BitsOptions, model: Path, tmp_path: Path) -> None:
    assert refusal(model, QuantizeOptions(bits=bits), tmp_path / "build").problems[0].code == "wrong-option"


def test_instructions_of_tiles_that_choose_are_those_of_the_more_expensive_form(runtime: Build) -> None:
    found = check_budgets(runtime, Budgets(instructions=1), "cortex-m4").results[0].used
    quantization, size = runtime.model.input.quantization, runtime.model.input.elements
    assert quantization is not None
    values = (quantization.zero_point, -128, 127)
    counts = [emulate(runtime, "cortex-m4", np.full((1, size), v, np.int8), layers=False).instructions for v in values]
    assert found == max(count or 0 for count in counts)
    assert len(set(counts)) > 1, "the input decides"
