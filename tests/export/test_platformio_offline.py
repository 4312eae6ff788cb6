# SPDX-License-Identifier: Apache-2.0
"""The project of a build folder in PlatformIO's own hands, as far as that goes without a network: emulated boards."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from mcukit.bench.images import emulated_image_path
from mcukit.emulation.elf import read_elf
from mcukit.errors import McukitError
from mcukit.export.project_model import code_hash
from mcukit.resources import firmware_dir
from mcukit.workflow.build import Build, load_build
from mcukit.workflow.flash import flash
from mcukit.workflow.quantize import quantize
from mcukit.workflow.verify import verify
from tests.export.offline_platformio import OfflinePlatformIO
from tests.workflow.conftest import small, small_model

__all__ = ["small", "small_model"]

BOARD = "cortex-m33"
ENVIRONMENT = f"emulated-{BOARD}"


@pytest.fixture
def project(small: Build, tmp_path: Path) -> Path:
    """The firmware of a copy of the build, in a folder whose name has what breaks command lines."""
    folder = tmp_path / "a build's folder; 100 %" / "build"
    shutil.copytree(small.folder, folder)
    return folder / "firmware"


def changed(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def board_file(project: Path) -> Path:
    (path,) = project.glob(f"platform/*/boards/{BOARD}.json")
    return path


def test_a_build_runs_on_an_emulated_board(project: Path, pio: OfflinePlatformIO, small_model: Path) -> None:
    done = pio.run(project, "run", "-e", ENVIRONMENT, "-t", "upload")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "warning" not in (done.stdout + done.stderr).lower()
    image = emulated_image_path(project, BOARD)
    assert read_elf(image).section_sizes[".mcukit_weights"] > 0
    files = {path.name: path.read_bytes() for path in project.glob("lib/*_model/src/*/*")}
    greeting = re.findall(r"^m-banner-\[(\w+)=(.*)\]$", done.stdout, re.MULTILINE)
    assert dict(greeting)["board"] == ENVIRONMENT
    assert dict(greeting)["model_hash"] == code_hash(files)
    assert done.stdout.index("m-init-done") < done.stdout.index("SUCCESS")

    assert verify(load_build(project.parent), port=f"emulated:{BOARD}").equal, "it is where that port looks for it"

    # The folder may move, and what is built for another one does not follow it.
    moved = project.parent.with_name("moved")
    shutil.move(project.parent, moved)
    project = moved / "firmware"
    before = emulated_image_path(project, BOARD).read_bytes()
    done = pio.run(project, "test", "-e", ENVIRONMENT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 test cases: 2 succeeded" in done.stdout
    assert emulated_image_path(project, BOARD).read_bytes() == before, "a test leaves the board's program alone"

    header = project / "test/test_known_answer/known_answer.h"
    (first,) = re.findall(r"expected_1\[\] = \{\n    (-?\d+),", header.read_text())
    changed(header, f"expected_1[] = {{\n    {first},", f"expected_1[] = {{\n    {int(first) ^ 1},")
    done = pio.run(project, "test", "-e", ENVIRONMENT)
    assert done.returncode == 1, done.stdout
    found, wanted = (f"{value & 255:02x}" for value in (int(first), int(first) ^ 1))
    assert f"known answer 1: at byte 0 of net_output: {found} instead of {wanted}" in done.stdout

    # Whatever all this has left behind is no reason not to build anew.
    assert quantize(small_model, moved).folder == moved
    assert not (moved / "firmware" / ".pio").exists()


def test_a_path_that_platformio_would_not_find_is_refused(project: Path, tmp_path: Path) -> None:
    # Of its own: what is known of this platform afterwards lies in that path.
    pio = OfflinePlatformIO.in_folder(tmp_path / "core")
    priced = tmp_path / "a$b" / "build"
    shutil.copytree(project.parent, priced)
    done = pio.run(priced / "firmware", "run", "-e", ENVIRONMENT)
    assert done.returncode == 1
    assert f"PlatformIO can't build in {priced / 'firmware'}: move the project" in done.stdout + done.stderr
    with pytest.raises(McukitError, match="move the build to a folder without") as caught:
        flash(load_build(priced), f"emulated:{BOARD}", environment=ENVIRONMENT)
    assert caught.value.problems[0].code == "unsuitable-path"


def test_what_an_emulated_board_lacks_is_said(project: Path, tmp_path: Path) -> None:
    # Of its own: PlatformIO takes this platform for the unchanged one of the same name, if it knows that.
    pio = OfflinePlatformIO.in_folder(tmp_path / "core")
    original = board_file(project).read_text()
    description = json.loads(original)
    description["build"]["tools"] = {"no-such-gcc": "apt-get install no-such", "qemu-no-such": "apt-get install this"}
    board_file(project).write_text(json.dumps(description))
    done = pio.run(project, "run", "-e", ENVIRONMENT)
    assert done.returncode == 1
    for tool, package in (("no-such-gcc", "no-such"), ("qemu-no-such", "this")):
        assert f"Error: {tool} is not installed. On Debian and Ubuntu: apt-get install {package}\n" in done.stderr
    assert "Traceback" not in done.stderr + done.stdout

    # The image of a program that ends without a word: what the emulator does if the machine does not start.
    description = json.loads(original)
    description["emulator"] = {"command": "true", "machine": []}
    board_file(project).write_text(json.dumps(description))
    done = pio.run(project, "run", "-e", ENVIRONMENT, "-t", "upload")
    assert done.returncode == 1
    assert "but the board does not greet" in done.stderr


def test_what_is_wrong_in_an_ini_file_would_be_found(project: Path, pio: OfflinePlatformIO) -> None:
    changed(project / "platformio.ini", "build_src_filter =", "no_such_option =")
    assert pio.problems_of(project)


WHOLE = [
    "known-answer begin 2",
    "known-answer 0 equal",
    "known-answer 1 differs at byte 3 of y: 01",
    "known-answer end",
]
PASSES = {
    "a whole pass": (WHOLE, ["PASSED", "FAILED at byte 3 of y: 01"]),
    "begun before anyone listened": ([*WHOLE[2:], *WHOLE], ["PASSED", "FAILED at byte 3 of y: 01"]),
    "restarted": ([*WHOLE[:2], *WHOLE], ["PASSED", "FAILED at byte 3 of y: 01"]),
    "noise between": ([WHOLE[0], "\x00\xff", *WHOLE[1:]], ["PASSED", "FAILED at byte 3 of y: 01"]),
    "a lost line": ([WHOLE[0], *WHOLE[2:]], []),
    "no beginning": (WHOLE[1:], []),
    "no end": (WHOLE[:3], []),
    "nothing": ([], []),
}


RUNNER = """
import json, sys, types
sys.path.insert(0, ".")
import test_custom_runner
from platformio.test.result import TestSuite

test_custom_runner.click = types.SimpleNamespace(echo=lambda text: None)
test_custom_runner.TestRunnerBase.__init__ = lambda runner: None
results = {}
for name, lines in json.load(sys.stdin).items():
    runner = test_custom_runner.CustomTestRunner()
    runner.test_suite = suite = TestSuite("environment", "test")
    for line in lines:
        runner.on_testing_line_output(line + "\\r\\n")
    cases = [f"{case.status.name} {case.message or ''}".strip() for case in suite.cases]
    results[name] = [cases, suite.is_finished()]
print(json.dumps(results))
"""


def test_only_a_whole_pass_of_a_board_counts(pio: OfflinePlatformIO) -> None:
    lines = {name: lines for name, (lines, _) in PASSES.items()}
    done = pio.python(firmware_dir() / "platformio", "-B", "-c", RUNNER, stdin=json.dumps(lines))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {name: [expected, bool(expected)] for name, (_, expected) in PASSES.items()}
