# SPDX-License-Identifier: Apache-2.0
"""Flashing with PlatformIO: what it is told, what becomes of what it says, and whether the board then runs the build.

A program stands in for `pio`; what it uploads runs in an emulator, behind a socket.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import mcukit
from mcukit.bench.firmware import SerialOptions, build_serial_program
from mcukit.bench.images import emulated_image_path
from mcukit.bench.link import Timing
from mcukit.bench.pio import upload
from mcukit.bench.ports import serial_ports
from mcukit.bench.project import choose_environment, project_environments
from mcukit.bench.result import Clock
from mcukit.emulation.targets import EMULATED_BOARDS
from mcukit.errors import McukitError
from mcukit.workflow import flash as flash_module
from tests.bench.boards import BOARD
from tests.bench.faulty_board import Faults, FaultyBoard

Pio = Callable[[str], Path]


@pytest.fixture(scope="module")
def build(board_build: mcukit.Build) -> mcukit.Build:
    return board_build


@pytest.fixture(scope="module")
def for_all(free_build: mcukit.Build) -> mcukit.Build:
    """A build with an environment for every board."""
    return free_build


@pytest.fixture(scope="module")
def program(build: mcukit.Build, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """The firmware that PlatformIO would have made of a build."""

    def make(of: mcukit.Build = build, kernels: str = "dsp") -> Path:
        options = SerialOptions(board=BOARD, kernels=kernels)
        folder = tmp_path_factory.mktemp("program")
        return build_serial_program(of.c_sources(), EMULATED_BOARDS["host"], folder, options)

    return make


@pytest.fixture
def pio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pio:
    """Puts a `pio` on the PATH that notes its arguments in the file that is returned, and then runs lines of Python."""

    def make(does: str = "") -> Path:
        told = tmp_path / "told.json"
        folder = tmp_path / "bin"
        folder.mkdir()
        lines = (f"#!{sys.executable}", "import json, sys, time, subprocess", "from pathlib import Path")
        lines += (f"Path({str(told)!r}).write_text(json.dumps(sys.argv[1:]))", does, "")
        (folder / "pio").write_text("\n".join(lines))
        (folder / "pio").chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
        return told

    return make


def error_of(call: Callable[[], object]) -> tuple[str, str]:
    with pytest.raises(McukitError) as caught:
        call()
    (problem,) = caught.value.problems
    assert problem.hint
    return problem.code, str(problem)


def test_a_build_is_uploaded_and_answers(build: mcukit.Build, pio: Pio, program: Callable[..., Path]) -> None:
    told = pio("")
    with FaultyBoard([str(program())], Faults(flip=0.001)) as board:
        flashed = mcukit.flash(build, board.port)
    project = str(build.folder / "firmware")
    assert json.loads(told.read_text()) == [
        "run",
        "--project-dir",
        project,
        "--environment",
        BOARD,
        "--target",
        "upload",
    ]
    assert (flashed.port, flashed.environment, flashed.image) == (board.port, BOARD, None)
    assert (flashed.board.banner.board, flashed.board.banner.kernels) == (BOARD, "dsp")


def test_an_upload_port_is_passed_on(build: mcukit.Build, pio: Pio, program: Callable[..., Path]) -> None:
    told = pio("")
    with FaultyBoard([str(program())], Faults()) as board:
        mcukit.flash(build, board.port, upload_port="/dev/ttyUSB7")
    assert json.loads(told.read_text())[-2:] == ["--upload-port", "/dev/ttyUSB7"]


def test_boards_are_uploaded_to_through_their_port_unless_they_have_a_probe(for_all: mcukit.Build) -> None:
    environments = {env.name: env for env in project_environments(for_all.folder / "firmware")}
    assert environments["nucleo_f446re"].has_probe
    assert flash_module._upload_port(environments["nucleo_f446re"], "/dev/ttyACM0") is None
    assert flash_module._upload_port(environments["esp32dev"], "/dev/ttyUSB0") == "/dev/ttyUSB0"
    assert flash_module._upload_port(environments["esp32dev"], "socket://127.0.0.1:1") is None
    assert [environments[name].kernels for name in ("nucleo_f446re", "esp32dev")] == ["dsp", "portable"]
    assert not environments["esp32dev-espidf"].is_default


def test_the_firmware_of_another_build_is_noticed(
    build: mcukit.Build, for_all: mcukit.Build, pio: Pio, program: Callable[..., Path]
) -> None:
    pio("")
    with FaultyBoard([str(program(for_all))], Faults()) as board:
        code, text = error_of(lambda: mcukit.flash(build, board.port))
    assert code == "wrong-firmware"
    assert "network 'other'" in text


def test_other_kernels_than_those_of_the_project_are_noticed(
    build: mcukit.Build, pio: Pio, program: Callable[..., Path]
) -> None:
    pio("")
    with FaultyBoard([str(program(kernels="others"))], Faults()) as board:
        code, text = error_of(lambda: mcukit.flash(build, board.port))
    assert code == "wrong-firmware"
    assert "kernels are 'others', not 'dsp'" in text


def test_a_board_that_does_not_come_back_is_waited_for_and_given_up(
    build: mcukit.Build, pio: Pio, monkeypatch: pytest.MonkeyPatch
) -> None:
    pio("")
    monkeypatch.setattr(flash_module, "_START_SECONDS", 0.5)
    assert error_of(lambda: mcukit.flash(build, "socket://127.0.0.1:1"))[0] == "board-unreachable"


def test_a_board_that_comes_back_late_is_waited_for(
    build: mcukit.Build, pio: Pio, program: Callable[..., Path]
) -> None:
    pio("")
    with FaultyBoard([str(program())], Faults(vanish_at=1, comes_back=True)) as board:
        assert mcukit.flash(build, board.port, timing=Timing(connect=1.0)).board.layers > 0


@pytest.mark.parametrize(
    ("says", "hint"),
    [
        ("UnknownBoard: Unknown board ID 'genericSTM32F405RG'", "does not know this board"),
        ("region `RAM' overflowed by 1234 bytes", "does not fit"),
        ("HTTPClientError: ", "on the internet"),
        ("Error: libusb_open() failed with LIBUSB_ERROR_ACCESS", "udev rules"),
        ("A fatal error occurred: Failed to connect to ESP32: No serial data received.", "connected and powered"),
        ("something else", "to see all of it: pio run -d"),
    ],
)
def test_what_pio_says_is_handed_on(build: mcukit.Build, pio: Pio, says: str, hint: str) -> None:
    pio(f"print('Processing'); print({says!r}, file=sys.stderr); sys.exit(1)")
    code, text = error_of(lambda: mcukit.flash(build, "socket://127.0.0.1:1"))
    assert code == "flash-failed"
    assert says.strip() in text
    assert hint in text


def test_a_pio_that_hangs_is_ended_with_all_that_it_started(build: mcukit.Build, pio: Pio, tmp_path: Path) -> None:
    running = tmp_path / "running"
    told = pio(
        f"child = subprocess.Popen(['sleep', '60']); Path({str(running)!r}).write_text(str(child.pid)); time.sleep(60)"
    )
    command = Path(os.environ["PATH"].split(os.pathsep)[0]) / "pio"
    began = time.monotonic()
    code, text = error_of(lambda: upload(command, build.folder / "firmware", BOARD, seconds=2.0))
    assert (code, "did not finish in 2 seconds" in text) == ("flash-failed", True)
    assert told.exists()
    assert time.monotonic() - began < 30
    status = Path(f"/proc/{running.read_text()}/status")
    # It was killed; on a busy computer it takes a moment until it is gone.
    while time.monotonic() - began < 30 and _is_running(status):
        time.sleep(0.05)
    assert not _is_running(status)


def _is_running(status: Path) -> bool:
    try:
        return "zombie" not in status.read_text()
    except OSError:
        return False


def test_without_platformio_the_error_names_it(
    build: mcukit.Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    code, text = error_of(lambda: mcukit.flash(build, "socket://127.0.0.1:1"))
    assert code == "missing-package"
    assert "mcukit[platformio]" in text


def test_which_board_this_is_must_be_said_where_a_build_is_for_several(
    for_all: mcukit.Build, build: mcukit.Build
) -> None:
    code, text = error_of(lambda: mcukit.flash(for_all, "socket://127.0.0.1:1"))
    assert code == "several-environments"
    assert "nucleo_f446re" in text
    code, text = error_of(lambda: mcukit.flash(build, "socket://127.0.0.1:1", environment="nucleo_f446re"))
    assert code == "unknown-environment"
    environments = project_environments(for_all.folder / "firmware")
    assert choose_environment(environments, "esp32dev").baud == 115_200


def test_a_build_without_firmware_is_told_apart(for_all: mcukit.Build, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(for_all.folder, tmp_path / "copy"))
    (folder / "firmware" / "platformio.ini").unlink()
    assert error_of(lambda: project_environments(folder / "firmware"))[0] == "no-firmware"
    assert error_of(lambda: mcukit.load_build(folder))[0] == "invalid-build"
    (folder / "firmware" / "platformio.ini").write_text("[platformio\nno ini")
    assert error_of(lambda: project_environments(folder / "firmware"))[0] == "no-firmware"


class Attached:
    """A port as pyserial lists it."""

    def __init__(self, device: str, vid: int | None) -> None:
        self.device, self.vid, self.description = device, vid, "STLink"


@pytest.mark.parametrize(
    ("ports", "code", "named"),
    [
        ([], "no-board", "emulated:NAME"),
        ([Attached("/dev/ttyS0", None)], "no-board", "/dev/ttyS0"),
        ([Attached("/dev/ttyACM1", 1), Attached("/dev/ttyACM0", 1)], "several-boards", "/dev/ttyACM0 (STLink)"),
        ([Attached("/dev/no-such-port", 1), Attached("/dev/ttyS0", None)], "board-unreachable", "/dev/no-such-port"),
    ],
    ids=["none", "none-over-usb", "several", "one"],
)
def test_the_only_board_that_is_attached_is_taken(
    build: mcukit.Build, monkeypatch: pytest.MonkeyPatch, ports: list[Attached], code: str, named: str
) -> None:
    monkeypatch.setattr("serial.tools.list_ports.comports", lambda: ports)
    for verb in (lambda: mcukit.verify(build), lambda: mcukit.benchmark(build)):
        found, text = error_of(verb)
        assert found == code
        assert named in text
    if code == "no-board":
        assert "--on TARGET" in error_of(lambda: mcukit.verify(build))[1]
    assert len(serial_ports()) == len(ports)


def test_a_missing_board_is_noticed_before_pio_runs(
    build: mcukit.Build, pio: Pio, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = pio("")
    monkeypatch.setattr("serial.tools.list_ports.comports", list)
    assert error_of(lambda: mcukit.flash(build))[0] == "no-board"
    code, text = error_of(lambda: mcukit.flash(build, "/dev/no-such-port"))
    assert code == "board-unreachable"
    assert "there is no such serial port" in text
    assert not told.exists()


def test_an_environment_of_an_emulated_board_goes_with_its_port_alone(
    build: mcukit.Build, pio: Pio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(shutil.copytree(build.folder, tmp_path / "copy"))
    copied = replace(mcukit.load_build(folder), folder=folder)
    with (folder / "firmware" / "platformio.ini").open("a") as ini:
        ini.write("[env:emulated-host]\nplatform = symlink://emulators\nboard = host\n")
    image = emulated_image_path(folder / "firmware", "host")
    sources = build_serial_program(build.c_sources(), EMULATED_BOARDS["host"], tmp_path, SerialOptions(board="host"))
    pio(f"Path({str(image.parent)!r}).mkdir(exist_ok=True); Path({str(sources)!r}).rename({str(image)!r})")
    for port in ("emulated:cortex-m7", "socket://127.0.0.1:1"):
        code, _ = error_of(lambda port=port: mcukit.flash(copied, port, environment="emulated-host"))
        assert code == "wrong-option"
    assert error_of(lambda: mcukit.flash(copied, "emulated:host", environment=BOARD))[0] == "wrong-option"
    flashed = mcukit.flash(copied, "emulated:host", environment="emulated-host")
    assert (flashed.environment, flashed.image) == ("emulated-host", image)
    result = mcukit.benchmark(copied, "emulated:host", runs=1)
    assert (result.banner.board, result.clock) == ("host", Clock.COMPUTER)
    assert choose_environment(project_environments(folder / "firmware"), None).name == BOARD
