# SPDX-License-Identifier: Apache-2.0
"""Flash, verify and benchmark on emulated boards: right bytes, ticks that are instructions, and every way to fail."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import mcukit
from mcukit.bench.firmware import SerialOptions, build_serial_program, emulator_command, model_hash, serial_defines
from mcukit.bench.images import emulated_image_path
from mcukit.bench.link import Timing
from mcukit.bench.result import Clock
from mcukit.emulation.targets import EMULATED_BOARDS
from mcukit.errors import McukitError
from mcukit.workflow.verify import random_inputs
from tests.bench.boards import large_build, tiny_build, two_headed_build
from tests.bench.faulty_board import Faults, FaultyBoard

# The first number of an array of biases.
BIAS = re.compile(r"(int32_t \w+_bias\[\d+\] = *\{\s*)(-?\d+)")

MACHINES = ("stm32f405", "cortex-m7")
VWW = Path(__file__).parents[3] / "shared" / "models" / "vww" / "vww_96_int8.tflite"

# Short only where nothing will come however long one waits.
IMPATIENT = Timing(reply=1.0, infer=1.0)
DEAF = Timing(connect=2.0)
EAGER = Timing(resend=0.05, slowest_resend=0.4)


@pytest.fixture(scope="module")
def build(board_build: mcukit.Build) -> mcukit.Build:
    """A small network, flashed onto all machines."""
    for machine in MACHINES:
        mcukit.flash(board_build, f"emulated:{machine}")
    return board_build


@pytest.fixture(scope="module")
def other(free_build: mcukit.Build) -> mcukit.Build:
    """Flashed onto nothing."""
    return free_build


@pytest.fixture(scope="module")
def vww(tmp_path_factory: pytest.TempPathFactory) -> mcukit.Build:
    return mcukit.quantize(VWW, tmp_path_factory.mktemp("vww") / "build", mcukit.QuantizeOptions())


def command_of(build: mcukit.Build, machine: str) -> list[str]:
    """Powers on what was flashed."""
    return emulator_command(EMULATED_BOARDS[machine], emulated_image_path(build.folder / "firmware", machine))


def error_of(call: Callable[[], object]) -> tuple[str, str]:
    """Code and text of the only problem."""
    with pytest.raises(McukitError) as caught:
        call()
    (problem,) = caught.value.problems
    assert problem.hint
    return problem.code, str(problem)


def test_networks_of_earlier_versions_do_not_say_what_kernels_layers_have(build: mcukit.Build, tmp_path: Path) -> None:
    sources = build.c_sources()
    old = replace(sources, model_dir=Path(shutil.copytree(sources.model_dir, tmp_path / "model")))
    header = old.model_dir / f"{old.name}.h"
    text, removed = re.subn(r"#define TINY_LAYER_KERNELS(.*\\\n)*.*\n", "", header.read_text())
    assert removed == 1
    header.write_text(text)
    define = 'TINY_LAYER_KERNELS="unknown"'
    assert define not in serial_defines(sources, SerialOptions(), [])
    assert define in serial_defines(old, SerialOptions(), [])
    assert build_serial_program(old, EMULATED_BOARDS["host"], tmp_path, SerialOptions()).is_file()


@pytest.mark.parametrize("machine", [*MACHINES, "host"])
def test_what_is_flashed_is_what_runs(build: mcukit.Build, machine: str) -> None:
    port = f"emulated:{machine}"
    flashed = mcukit.flash(build, port)
    banner = flashed.board.banner
    # On other cores DSP kernels call the portable ones.
    kernels = "portable" if machine == "host" else "dsp"
    assert (banner.model, banner.board, banner.kernels) == ("tiny", f"emulated-{machine}", kernels)
    counts = sorted(Counter(layer.kernel.function for layer in build.model.steps if layer.kernel).items())
    assert banner.layer_kernels == ", ".join(f"{number} {name}" for name, number in counts)
    assert len(counts) == 4
    assert banner.compiler.startswith("GCC ")
    assert "-O2" in banner.compiler_flags
    assert flashed.image == emulated_image_path(build.folder / "firmware", machine)
    assert [path.name for path in flashed.image.parent.iterdir() if path.name.startswith(".")] == []
    found = mcukit.verify(build, port=port, per_layer=True)
    assert (found.equal, found.inputs, found.target, found.banner) == (True, 4, port, banner)
    assert found.layers_compared == mcukit.verify(build, "host").layers_compared > 3
    plain = mcukit.verify(build, port=port)
    assert (plain.equal, plain.layers_compared) == (True, 0)


def test_ticks_of_an_emulated_board_are_instructions(build: mcukit.Build) -> None:
    inputs = random_inputs(build, 1)
    counted = mcukit.emulate(build, "cortex-m4", inputs).layers
    result = mcukit.benchmark(build, "emulated:stm32f405", inputs=inputs, runs=3, warm_up=1)
    assert result.clock is Clock.INSTRUCTIONS
    assert result.total.minimum == result.total.maximum  # of several runs, whatever else this computer does
    assert [layer.name for layer in result.layers] == [layer.name for layer in counted]
    # Reading the counter costs the same in each layer.
    pairs = zip(result.layers, counted, strict=True)
    assert len({mine.ticks.median - theirs.instructions for mine, theirs in pairs}) == 1
    assert result.microseconds(result.total.median) is None
    assert result.instructions(result.total.median) == result.total.median
    assert result.between_layers == result.total.median - sum(layer.ticks.median for layer in result.layers) > 0
    assert [layer.instructions for layer in result.layers] == [
        entry["instructions"] for entry in build.report["layers"] if entry["instructions"]
    ]


def assert_ticks_are_counted_instructions(build: mcukit.Build, machine: str, instructions_per_tick: int) -> None:
    inputs = random_inputs(build, 1)
    counted = mcukit.emulate(build, machine, inputs, layers=False).instructions
    result = mcukit.benchmark(build, f"emulated:{machine}", inputs=inputs, runs=1, warm_up=0)
    found = result.instructions(result.total.median)
    assert found is not None
    assert counted is not None
    assert found % instructions_per_tick == 0
    # Hooks and the reading of the counter take a few instructions for each layer.
    assert 0 < found - counted < 1000


def test_a_slower_counter_counts_instructions_as_well(build: mcukit.Build) -> None:
    assert_ticks_are_counted_instructions(build, "cortex-m7", 40)  # at 25 MHz


def test_a_core_with_helium_is_a_board_as_well(tmp_path: Path) -> None:
    helium, port = tiny_build(tmp_path, board=None, kernels="mve"), "emulated:cortex-m55"
    assert mcukit.flash(helium, port).board.banner.kernels == "mve"
    found = mcukit.verify(helium, port=port, per_layer=True)
    assert (found.equal, found.layers_compared > 3) == (True, True)
    assert_ticks_are_counted_instructions(helium, "cortex-m55", 50)  # at 20 MHz


@pytest.mark.parametrize(("machine", "per_layer"), [("stm32f405", False), ("cortex-m7", True)])
def test_a_network_of_real_size(vww: mcukit.Build, machine: str, per_layer: bool) -> None:
    port = f"emulated:{machine}"
    mcukit.flash(vww, port)
    assert mcukit.verify(vww, None, random_inputs(vww, 1), port=port, per_layer=per_layer).equal
    result = mcukit.benchmark(vww, port, runs=1, warm_up=0)
    assert result.instructions(result.total.median) == pytest.approx(9.70e6, rel=0.03)
    assert result.estimate is None


RIGHT = {"noise": Faults(drop=0.001, flip=0.001, repeat=0.001), "reset": Faults(reset_at=1500)}


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("faults", RIGHT)
def test_damage_and_a_restart_are_recovered_from(build: mcukit.Build, machine: str, faults: str) -> None:
    inputs = random_inputs(build, 2)
    with FaultyBoard(command_of(build, machine), RIGHT[faults]) as board:
        assert mcukit.verify(build, None, inputs, port=board.port, per_layer=True, timing=EAGER).equal
        result = mcukit.benchmark(build, board.port, inputs=inputs[:1], runs=2, warm_up=0, timing=EAGER)
    undamaged = mcukit.benchmark(build, f"emulated:{machine}", inputs=inputs[:1], runs=1, warm_up=0)
    assert result.clock is Clock.UNKNOWN  # behind a line of its own an emulator may count whatever it likes
    assert abs(result.total.median - undamaged.total.median) <= 1
    assert board.resets == (faults == "reset")


FATAL = {
    "stalled": (Faults(stall_at=1200), IMPATIENT, "board-stalled"),
    "vanished": (Faults(vanish_at=1200), Timing(), "board-unreachable"),
    "garbled": (Faults(garble=True), DEAF, "garbled-serial"),
}


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("faults", FATAL)
def test_what_can_not_be_recovered_from_is_one_error(build: mcukit.Build, machine: str, faults: str) -> None:
    how, timing, code = FATAL[faults]
    with FaultyBoard(command_of(build, machine), how) as board:
        assert error_of(lambda: mcukit.verify(build, port=board.port, per_layer=True, timing=timing))[0] == code
    with FaultyBoard(command_of(build, machine), how) as board:
        assert error_of(lambda: mcukit.benchmark(build, board.port, timing=timing))[0] == code


def test_the_firmware_of_another_build_is_refused(build: mcukit.Build, other: mcukit.Build) -> None:
    with FaultyBoard(command_of(build, "stm32f405"), Faults()) as board:
        for verb in (lambda: mcukit.verify(other, port=board.port), lambda: mcukit.benchmark(other, board.port)):
            code, text = error_of(verb)
            assert code == "wrong-firmware"
            assert "network 'tiny' with hash" in text
            assert f"mcukit flash {other.folder} --port {board.port}" in text


def test_an_emulated_board_holds_nothing_before_it_is_flashed(other: mcukit.Build) -> None:
    for verb in (
        lambda: mcukit.verify(other, port="emulated:cortex-m4"),
        lambda: mcukit.benchmark(other, "emulated:host"),
    ):
        code, text = error_of(verb)
        assert code == "not-flashed"
        assert f"mcukit flash {other.folder} --port emulated:" in text


def test_a_damaged_image_is_an_error(build: mcukit.Build, tmp_path: Path) -> None:
    copied = mcukit.load_build(Path(shutil.copytree(build.folder, tmp_path / "copy")))
    emulated_image_path(copied.folder / "firmware", "stm32f405").write_bytes(b"no program")
    code, text = error_of(lambda: mcukit.verify(copied, port="emulated:stm32f405"))
    assert code == "board-unreachable"
    assert f"flash it again: mcukit flash {copied.folder} --port emulated:stm32f405" in text


def program_with_a_wrong_bias(build: mcukit.Build, which: int, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Firmware with another first bias in the layer at a position, that says that it is the build's."""
    sources, told = build.c_sources(), model_hash(build.c_sources())
    wrong = Path(shutil.copytree(sources.model_dir, folder / "wrong"))
    file = wrong / f"{build.name}_weights.c"
    text = file.read_text()
    bias = list(BIAS.finditer(text))[which]
    file.write_text(f"{text[: bias.start()]}{bias[1]}{int(bias[2]) + 40000}{text[bias.end() :]}")
    monkeypatch.setattr("mcukit.bench.firmware.model_hash", lambda _: told)
    return build_serial_program(replace(sources, model_dir=wrong), EMULATED_BOARDS["host"], folder, SerialOptions())


def test_wrong_bytes_are_found_and_their_layer_is_named(
    build: mcukit.Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = program_with_a_wrong_bias(build, 0, tmp_path, monkeypatch)
    with FaultyBoard([str(program)], Faults()) as board:
        for per_layer in (False, True):
            found = mcukit.verify(build, port=board.port, per_layer=per_layer)
            assert not found.equal
            assert found.first_difference is not None
            assert found.first_difference.layer == build.model.layers[0].name
        assert error_of(lambda: mcukit.benchmark(build, board.port))[0] == "wrong-output"


def test_every_output_is_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build = two_headed_build(tmp_path)
    mcukit.flash(build, "emulated:host")
    assert mcukit.verify(build, port="emulated:host").equal
    assert mcukit.benchmark(build, "emulated:host", runs=1).total.median > 0
    program = program_with_a_wrong_bias(build, -1, tmp_path, monkeypatch)
    with FaultyBoard([str(program)], Faults()) as board:
        found = mcukit.verify(build, port=board.port)
        assert found.first_difference is not None
        assert found.first_difference.layer == build.model.layers[-1].name
        code, text = error_of(lambda: mcukit.benchmark(build, board.port))
        assert code == "wrong-output"
        assert f"'{build.model.outputs[1].name}'" in text


def test_a_build_without_room_for_a_second_input_says_so(tmp_path: Path) -> None:
    build = large_build(tmp_path, 28)
    flashed = mcukit.flash(build, "emulated:stm32f405")
    assert not flashed.keeps_input
    result = mcukit.benchmark(build, "emulated:stm32f405", runs=2, warm_up=0)
    assert result.total.minimum == result.total.maximum
    code, text = error_of(lambda: mcukit.flash(large_build(tmp_path, 34), "emulated:stm32f405"))
    assert code == "too-large"
    assert text.startswith("emulated:stm32f405: ")


def test_an_emulated_board_ends_with_whoever_powered_it(build: mcukit.Build) -> None:
    program = (
        "import sys, time; from mcukit.bench.transport import ProcessTransport\n"
        "line = ProcessTransport(sys.argv[1:]); print(line.process.pid, flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", program, *command_of(build, "stm32f405")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        group = int(owner.stdout.readline())
        os.killpg(group, 0)
        owner.send_signal(signal.SIGKILL)
    give_up_at = time.monotonic() + 20
    while time.monotonic() < give_up_at:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    pytest.fail("the emulator still runs")


def test_an_image_that_can_not_be_written_is_an_error(other: mcukit.Build, tmp_path: Path) -> None:
    copied = mcukit.load_build(Path(shutil.copytree(other.folder, tmp_path / "copy")))
    (copied.folder / "firmware" / ".emulated").write_text("in the way")
    code, text = error_of(lambda: mcukit.flash(copied, "emulated:host"))
    assert code == "unwritable-output"
    assert " -o" not in text


def test_inputs_are_taken_in_turn(build: mcukit.Build) -> None:
    inputs = random_inputs(build, 3)
    result = mcukit.benchmark(build, "emulated:host", inputs=inputs, runs=4)
    assert result.clock is Clock.COMPUTER
    assert result.runs == 4
    assert len(np.unique(inputs, axis=0)) == 3
