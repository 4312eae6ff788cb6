# SPDX-License-Identifier: Apache-2.0
"""Every command: its JSON, its text and its exit code."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result

from mcukit.calibration.ranges import RANGE_METHODS
from mcukit.cli import demo as demo_command
from mcukit.cli.quantize import RANGES
from mcukit.errors import McukitError
from mcukit.resources import boards_dir
from mcukit.workflow.verify import Difference, Verification
from tests.importers.onnx_text import network

Run = Callable[..., Result]

# Fields that scripts rely on.
REPORT_FIELDS = {
    "schema", "model", "board", "plan", "macs", "macs_redundant", "bitops", "arena_bytes", "pushed_arena_bytes",
    "weight_bytes", "accuracy", "layers", "calibrated", "build",
}  # fmt: skip
LAYER_FIELDS = {"name", "op", "macs", "bitops", "input_bits", "output_bits", "weight_bits"}
EMULATION_FIELDS = {
    "target", "outputs", "instructions", "arena_bytes", "stack_bytes", "code_bytes", "weight_bytes", "layers",
}  # fmt: skip


def parsed(result: Result) -> dict[str, Any]:
    """stdout, which must be one JSON document and nothing else."""
    fields = json.loads(result.stdout)
    assert fields["schema"] == 1
    assert isinstance(fields, dict)
    return fields


def test_inspect_tells_costs(run: Run, model: Path) -> None:
    fields = parsed(run("inspect", model, "--json"))
    assert fields["supported"] is True
    assert fields["unsupported"] == []
    assert fields["macs"] == 4 * 4 * 4 * 27 + 4 * 6
    assert fields["parameters"] == 4 * 27 + 4 + 6 * 4 + 6
    assert {layer["op"] for layer in fields["layers"]} >= {"conv2d", "fully_connected"}
    text = run("inspect", model)
    assert text.exit_code == 0
    assert "every operator is supported" in text.stdout


def test_inspect_names_everything_unsupported(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "odd.onnx"
    path.write_bytes(network("(float[1,3,8,8] x) => (float[1,3,8,8] y)", "a = Sin(x)\n y = Erf(a)"))
    result = run("inspect", path, "--json")
    fields = parsed(result)
    assert (result.exit_code, fields["supported"]) == (1, False)
    assert {entry["op"] for entry in fields["unsupported"]} == {"Sin", "Erf"}
    assert all(entry["node"] and entry["reason"] for entry in fields["unsupported"])
    text = run("inspect", path)
    assert text.exit_code == 1
    assert "not supported" in text.stdout
    assert "(Erf)" in text.stdout


def test_quantize_reports_as_json(run: Run, model: Path, data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "built"
    result = run("quantize", model, "--calibration", data, "--scale", "1/255", "-o", folder, "--json")
    fields = parsed(result)
    assert fields.keys() >= REPORT_FIELDS
    assert all(layer.keys() >= LAYER_FIELDS for layer in fields["layers"])
    assert (fields["calibrated"], fields["warnings"], result.stderr) == (True, [], "")
    assert fields["build"] == str(folder)
    assert (folder / "report.html").read_text().startswith("<!DOCTYPE html>")


def test_quantize_alone_works_and_every_later_report_says_so(run: Run, model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "built"
    result = run("quantize", model, "-o", folder)
    assert result.exit_code == 0
    assert "WARNING: NOT CALIBRATED" in result.stderr
    for words in (("verify", folder, "--on", "host"), ("emulate", folder, "--on", "host")):
        later = run(*words, "--json")
        fields = parsed(later)
        assert "NOT CALIBRATED" in later.stderr
        assert (fields["calibrated"], fields["warnings"][0]["code"]) == (False, "uncalibrated")
    assert "Not calibrated" in (folder / "report.html").read_text()


def test_quantize_finds_calibration_beside_the_model(run: Run, model: Path, data: Path, tmp_path: Path) -> None:
    shutil.copy(model, tmp_path / "tiny.onnx")
    shutil.copy(data, tmp_path / "calibration.npz")
    result = run("quantize", tmp_path / "tiny.onnx", "--scale", "1/255", "-o", tmp_path / "built", "--json")
    assert parsed(result)["calibrated"] is True
    assert parsed(result)["input_range"] == pytest.approx([0.0, 1.0], abs=0.01)
    assert result.stderr == ""


@pytest.mark.parametrize(("scale", "warning"), [("1", "as they are stored"), ("1/65536", "only goes from 0 to 0.00")])
def test_doubtful_preprocessing_is_pointed_out(
    run: Run, model: Path, data: Path, tmp_path: Path, scale: str, warning: str
) -> None:
    result = run("quantize", model, "--calibration", data, "--scale", scale, "-o", tmp_path / "built", "--json")
    (found,) = parsed(result)["warnings"]
    assert found["code"] == "doubtful-input"
    assert warning in found["message"]
    assert warning in result.stderr


def test_a_budget_that_is_exceeded_writes_nothing(run: Run, model: Path, data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "built"
    result = run("quantize", model, "--calibration", data, "--sram", "100", "-o", folder, "--json")
    assert result.exit_code == 1
    assert parsed(result)["error"]["code"] == "budget-exceeded"
    assert not folder.exists()


@pytest.mark.parametrize(("text", "size"), [("65536", 65536), ("64K", 65536), ("64KiB", 65536), ("1m", 1048576)])
def test_sizes(run: Run, model: Path, data: Path, tmp_path: Path, text: str, size: int) -> None:
    words = ("--calibration", data, "--sram", text, "-o", tmp_path / "built", "--json")
    assert parsed(run("quantize", model, *words))["budget"]["sram"] == size


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--sram", "0"), ("--sram", "64Q"), ("--flash", "-1"), ("--flash", "9" * 40), ("--scale", "1/0"),
        ("--scale", "0"), ("--scale", "1,2"), ("--std", "0"), ("--mean", "nan"), ("--ranges", "best"),
        ("--bits", "4"), ("--plan", "rows"), ("--board", "no-such-board"),
    ],
)  # fmt: skip
def test_wrong_options_are_usage_errors(
    run: Run, model: Path, data: Path, tmp_path: Path, option: str, value: str
) -> None:
    words = ("quantize", model, "--calibration", data, "-o", tmp_path / "built", option, value)
    result = run(*words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("error: ")
    assert parsed(run(*words, "--json"))["error"]["hint"]
    assert not (tmp_path / "built").exists()


def test_range_methods_are_those_of_calibration() -> None:
    assert set(RANGES) == set(RANGE_METHODS)


def test_evaluate(run: Run, build: Path, data: Path) -> None:
    results = [parsed(run("evaluate", build, "--data", data, "--on", on, "--json")) for on in ("host", "reference")]
    for fields in results:
        assert fields["n"] == 20
        assert 0 <= fields["top1"] <= fields["top5"] <= 100
        assert fields["agreement"] >= 80
        assert fields["calibrated"] is True
    assert results[0]["top1"] == results[1]["top1"]
    assert parsed(run("evaluate", build, "--data", data, "--limit", "5", "--json"))["n"] == 5
    text = run("evaluate", build, "--data", data)
    assert text.exit_code == 0
    assert "same answer as float" in text.stdout


def test_evaluate_refuses_data_without_labels(run: Run, build: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", x=np.zeros((2, 8, 8, 3), np.uint8))
    result = run("evaluate", build, "--data", tmp_path / "x.npz")
    assert result.exit_code == 1
    assert "labels" in result.stderr


@pytest.mark.parametrize(
    "words", [(), ("--images", "a"), ("--labels", "a"), ("--data", "a", "--images", "b", "--labels", "c")]
)
def test_evaluate_wants_one_source(run: Run, build: Path, words: tuple[str, ...]) -> None:
    result = run("evaluate", build, *words, "--json")
    assert result.exit_code == 2
    assert parsed(result)["error"]["code"] == "usage"


def test_emulate_on_the_host(run: Run, build: Path, data: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "two.npy", np.load(data)["x"][:2])
    fields = parsed(run("emulate", build, "--on", "host", "--input", tmp_path / "two.npy", "--json"))
    assert fields.keys() >= EMULATION_FIELDS
    assert np.array(fields["outputs"]).shape == (2, 6)
    assert fields["instructions"] is None


@pytest.mark.skipif(not shutil.which("qemu-system-arm"), reason="qemu-system-arm is not installed")
@pytest.mark.skipif(not shutil.which("arm-none-eabi-gcc"), reason="arm-none-eabi-gcc is not installed")
def test_emulate_counts_instructions(run: Run, build: Path) -> None:
    fields = parsed(run("emulate", build, "--on", "cortex-m4", "--json"))
    assert fields["instructions"] > 4 * 4 * 4 * 27
    assert all(layer["name"] and layer["instructions"] > 0 for layer in fields["layers"])
    assert fields["stack_bytes"] > 0
    assert fields["estimated_cycles"] is None
    assert {layer["cycles"] for layer in fields["layers"]} == {None}
    shown = run("emulate", build, "--on", "cortex-m4").stdout
    assert "instructions" in shown
    assert "cycles" not in shown


@pytest.mark.skipif(not shutil.which("qemu-system-arm"), reason="qemu-system-arm is not installed")
@pytest.mark.skipif(not shutil.which("arm-none-eabi-gcc"), reason="arm-none-eabi-gcc is not installed")
def test_emulate_estimates_cycles_of_a_board(run: Run, build: Path) -> None:
    counted = parsed(run("emulate", build, "--on", "cortex-m4", "--json"))
    fields = parsed(run("emulate", build, "--board", "nucleo_f446re", "--json"))
    estimate = fields["estimated_cycles"]
    assert (fields["target"], fields["instructions"]) == ("cortex-m4", counted["instructions"])
    assert (estimate["board"], estimate["clock_hz"]) == ("nucleo_f446re", 180_000_000)
    assert estimate["cycles"] == sum(estimate["classes"].values()) > fields["instructions"]
    assert estimate["milliseconds"] == round(estimate["cycles"] / 180_000, 3)
    assert all(layer["cycles"] > 0 for layer in fields["layers"])
    shown = run("emulate", build, "--on", "cortex-m4", "--board", "nucleo_f446re").stdout
    assert "time on nucleo_f446re" in shown
    assert "an estimate" in shown
    assert "cycles, estimated" in shown


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--board", "nano33ble"), "no-timings", "does not say how long the processor waits for its flash"),
        (("--board", "esp32dev"), "no-timings", "there are no timings of xtensa-lx6"),
        (("--board", "nucleo_f446re", "--on", "cortex-m7"), "wrong-option", "nucleo_f446re is no cortex-m7"),
        (("--board", "nucleo"), "unknown-board", "nucleo"),
    ],
)
def test_emulate_refuses_boards_without_timings(
    run: Run, build: Path, words: tuple[str, ...], code: str, said: str
) -> None:
    result = run("emulate", build, *words, "--json")
    assert result.exit_code == 2
    error = json.loads(result.stdout)["error"]
    assert error["code"] == code
    assert said in error["message"]


@pytest.mark.parametrize("words", [(), ("--inputs", "2")])
def test_verify_equal(run: Run, build: Path, data: Path, words: tuple[str, ...]) -> None:
    result = run("verify", build, "--on", "host", "--data", data, *words, "--json")
    fields = parsed(result)
    assert result.exit_code == 0
    assert (fields["target"], fields["equal"], fields["first_difference"]) == ("host", True, None)
    assert fields["inputs"] == (2 if words else 4)
    assert fields["layers_compared"] >= 3


def test_verify_unequal(run: Run, build: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    difference = Difference(1, "c", 2, 3, 0, -5, 7)
    unequal = Verification("host", False, 4, 3, difference)
    monkeypatch.setattr("mcukit.workflow.verify.verify", lambda *arguments, **options: unequal)
    result = run("verify", build, "--on", "host", "--json")
    assert result.exit_code == 1
    assert parsed(result)["first_difference"]["found"] == 7
    text = run("verify", build, "--on", "host")
    assert text.exit_code == 1
    assert "NOT EQUAL" in text.stdout
    assert "input 1, layer 'c', row 2, column 3, channel 0: -5 expected, 7 found" in text.stdout


@pytest.mark.parametrize("command", ["verify", "emulate"])
def test_an_unknown_target_is_usage(run: Run, build: Path, command: str) -> None:
    result = run(command, build, "--on", "toaster", "--json")
    assert result.exit_code == 2
    assert "cortex-m4" in parsed(result)["error"]["hint"]


@pytest.mark.parametrize(
    ("on", "code", "said"),
    [
        ("xtensa-lx6", "not-emulated", "nothing emulates 'xtensa-lx6'"),
        ("esp32dev", "not-emulated", "nothing emulates 'esp32dev', a board with xtensa-lx6"),
        ("nucleo_u575zi_q", "unknown-target", "write --on cortex-m33"),
        ("rv32imc", "unknown-target", "write --on riscv32"),
        ("boards/none.toml", "unknown-target", "choose one of reference"),
    ],
)
def test_cores_and_boards_are_no_targets(run: Run, build: Path, on: str, code: str, said: str) -> None:
    result = run("verify", build, "--on", on, "--json")
    error = parsed(result)["error"]
    assert (result.exit_code, error["code"], error["where"]) == (2, code, "--on")
    assert said in f"{error['message']}: {error['hint']}"


def test_boards(run: Run) -> None:
    listed = parsed(run("boards", "--json"))["boards"]
    assert len(listed) >= 14
    assert all(board["sram_bytes"] > 0 and board["flash_bytes"] > 0 for board in listed)
    text = run("boards").stdout
    for board in listed:
        assert board["id"] in text
        one = parsed(run("boards", board["id"], "--json"))["board"]
        assert {key: one[key] for key in board} == board
        shown = run("boards", board["id"]).stdout
        assert board["name"] in shown
        assert all(source in shown for source in one["sources"])


@pytest.mark.parametrize(
    ("board", "said"),
    [
        ("bluepill_f103c8", ("no DSP instructions", "cortex-m3, measured in the emulator", "TX PA9, RX PA10")),
        ("nano33ble", ("USBD (usb), 115,200 baud", "nano33ble of nordicnrf52, with arduino", "ABX00030")),
        ("esp32dev", ("nothing: neither", "cortex-m4, in place of those of xtensa-lx6", "ESP-IDF linker script")),
        ("esp32-c6-devkitc-1", ("rv32imac at 160 MHz", "riscv32", "mpccr", "0x40800000")),
    ],
)
def test_one_board(run: Run, board: str, said: tuple[str, ...]) -> None:
    text = run("boards", board).stdout
    assert [words for words in said if words not in text] == []


@pytest.fixture
def own_board(tmp_path: Path) -> Path:
    """A board that PlatformIO does not know."""
    path = tmp_path / "mine.toml"
    text = (boards_dir() / "nucleo_f446re.toml").read_text()
    path.write_text(text[: text.index("[platformio]")].replace("nucleo_f446re", "mine"))
    return path


def test_a_board_file_does_wherever_an_id_does(run: Run, own_board: Path, model: Path, tmp_path: Path) -> None:
    assert parsed(run("boards", own_board, "--json"))["board"]["platformio"] is None
    assert "does not know this board" in run("boards", own_board).stdout
    shutil.copy(model, tmp_path / "tiny.onnx")
    (tmp_path / "mcukit.toml").write_text('board = "./mine.toml"\n')
    for number, words in enumerate((("--board", own_board), ())):
        fields = parsed(run("quantize", tmp_path / "tiny.onnx", *words, "-o", tmp_path / f"built{number}", "--json"))
        assert (fields["board"], fields["core"]["costs"], fields["core"]["stand_in"]) == ("mine", "cortex-m4", False)
        assert fields["emulation"]["target"] == "cortex-m4"
        # The copy of the board's file ends before the timings of its flash.
        assert fields["emulation"]["estimated_cycles"] is None


def test_builds_for_a_board_with_timings_say_how_long_they_take(run: Run, model: Path, tmp_path: Path) -> None:
    words = ("quantize", model, "--board", "nucleo_f446re", "-o")
    fields = parsed(run(*words, tmp_path / "built", "--json"))
    estimate = fields["emulation"]["estimated_cycles"]
    assert (estimate["board"], estimate["clock_hz"]) == ("nucleo_f446re", 180_000_000)
    assert estimate["cycles"] == sum(estimate["classes"].values()) > fields["emulation"]["instructions"]
    shown = run(*words, tmp_path / "again").stdout
    time = f"about {estimate['milliseconds']:.3g} ms at 180 MHz: {estimate['cycles']:,} cycles, an estimate"
    assert time in shown
    assert time in (tmp_path / "built" / "report.html").read_text()
    assert f"mcukit emulate {tmp_path / 'again'} --board nucleo_f446re" in shown


def test_a_core_that_nothing_emulates_is_named(run: Run, model: Path, data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "built"
    words = ("quantize", model, "--calibration", data, "--scale", "1/255", "--board", "esp32dev", "-o", folder)
    result = run(*words, "--json")
    fields = parsed(result)
    (warning,) = fields["warnings"]
    assert warning["code"] == "not-emulated"
    assert "nothing emulates xtensa-lx6" in warning["message"]
    assert "costs of cortex-m4 in its place" in warning["hint"]
    assert (fields["emulation"], fields["core"]["emulation_target"], fields["core"]["stand_in"]) == (None, None, True)
    assert fields["plan"]["search"]["target"] == "cortex-m4"
    estimate = f"about {fields['plan']['search']['estimated_instructions']:,}, estimated with costs of cortex-m4"
    assert f"{estimate} in place of xtensa-lx6" in (folder / "report.html").read_text()
    text = run(*words[:-1], tmp_path / "again").stdout
    assert f"{estimate} in place of xtensa-lx6" in text
    assert "mcukit emulate" not in text
    assert run("verify", folder, "--on", "host").exit_code == 0


def test_ops(run: Run) -> None:
    fields = parsed(run("ops", "--json"))
    rows = {row["file"]: row for row in fields["operators"]}
    assert rows["conv2d"]["onnx"] == ["Conv"]
    assert rows["conv2d"]["tflite"] == ["CONV_2D"]
    assert rows["conv2d"]["kernels"] == ["mk_conv2d_s8"]
    assert "host" in fields["targets"]
    text = run("ops").stdout
    assert all(name in text for row in rows.values() for name in (*row["onnx"], *row["tflite"]))


def test_demo_says_what_could_not_run(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = McukitError("missing-tool", "qemu-system-arm is not installed", hint="apt-get install qemu-system-arm")

    def verify(build: object, target: str, inputs: np.ndarray) -> Verification:
        if target != "host":
            raise missing
        return Verification(target, True, len(inputs), 31, None)

    monkeypatch.setattr("mcukit.workflow.verify.verify", verify)
    monkeypatch.setattr("mcukit.cli.demo._CALIBRATION_IMAGES", 10)
    monkeypatch.setattr("mcukit.cli.demo._EVALUATION_IMAGES", 10)
    result = run("demo", "-o", tmp_path / "demo")
    assert result.exit_code == 0, result.stderr
    assert result.stderr.count("apt-get install qemu-system-arm") == 3
    assert "not run: qemu-system-arm is not installed" in result.stdout
    assert f"mcukit emulate {tmp_path / 'demo' / 'build'}" in result.stdout
    assert (tmp_path / "demo" / "build" / "report.html").is_file()


@pytest.mark.parametrize(("equal", "code"), [((True, True), 0), ((True, False), 1), ((), 1)])
def test_demo_succeeds_if_all_that_ran_was_equal(
    run: Run, monkeypatch: pytest.MonkeyPatch, equal: tuple[bool, ...], code: int
) -> None:
    attempts = tuple(demo_command._Attempt("host", Verification("host", same, 1, 1, None), None) for same in equal)
    files = demo_command._Files(Path("m"), Path("c"), Path("e"), Path("b"))
    result = demo_command._Demo(files, None, None, None, attempts, ())  # type: ignore[arg-type]
    monkeypatch.setattr("mcukit.cli.demo._run", lambda folder, progress: result)
    monkeypatch.setattr("mcukit.cli.demo._fields", lambda result: {"equal": result.succeeded})
    outcome = run("demo", "--json")
    assert (outcome.exit_code, parsed(outcome)["equal"]) == (code, code == 0)


def test_a_demo_that_can_not_be_written_is_one_message(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = run("demo", "-o", tmp_path / "file" / "demo")
    assert result.exit_code == 1
    assert "the demo's files can't be written: Not a directory" in result.stderr
    assert "Traceback" not in result.stderr


def test_inspect_shows_the_plans_worth_a_choice(run: Run, model: Path) -> None:
    fields = json.loads(run("inspect", model, "--plans", "--json").stdout)
    assert fields["schema"] == 1
    plans = [plan for plan in fields["plans"] if not plan["pushed"]]
    assert [plan["arena_bytes"] for plan in plans] == sorted((plan["arena_bytes"] for plan in plans), reverse=True)
    for plan in fields["plans"]:
        assert plan["macs"] == fields["macs"] + plan["macs_redundant"]
        assert plan["stages"]
    text = run("inspect", model, "--plans").stdout
    for plan in fields["plans"]:
        assert f"{plan['arena_bytes']:,}" in text
    assert "--push-rows" in text


def test_stages_of_inspect_are_a_plan_file(run: Run, model: Path, tmp_path: Path) -> None:
    plan = json.loads(run("inspect", model, "--plans", "--json").stdout)["plans"][-1]
    path = tmp_path / "plan.json"
    path.write_text(json.dumps({"schema": 1, "pushed": plan["pushed"], "stages": plan["stages"]}))
    done = run("quantize", model, "--plan", path, "-o", tmp_path / "build", "--json")
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["arena_bytes"] == plan["arena_bytes"]
