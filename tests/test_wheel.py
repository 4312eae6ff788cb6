# SPDX-License-Identifier: Apache-2.0
"""What users install: the wheel, built from this checkout and used away from it."""

from __future__ import annotations

import email
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import mcukit
from mcukit.resources import boards_dir, firmware_dir

CHECKOUT = Path(__file__).resolve().parent.parent

# Run by an interpreter that sees the installed wheel only, in an empty folder.
USE = """
from importlib.metadata import entry_points, version
from pathlib import Path

import jinja2
import mcukit
from mcukit.boards import list_boards, load_board
from mcukit.demo import demo_model_path
from mcukit.resources import boards_dir, firmware_dir
from mcukit.workflow.check import workflow_text

package = Path(mcukit.__file__).parent
for template in (package / "export" / "templates").rglob("*.j2"):
    jinja2.Environment().parse(template.read_text())
(command,) = [entry for entry in entry_points(group="console_scripts") if entry.name == "mcukit"]
print(package)
print(firmware_dir(), (firmware_dir() / "mcukit_nn" / "src" / "mcukit_nn.h").is_file())
print(boards_dir(), len(list_boards()), load_board("nucleo_f446re").sram_bytes)
print(version("mcukit"), command.value)

build = mcukit.quantize(demo_model_path(), Path("build"), mcukit.QuantizeOptions(board="nucleo_h743zi"))
print(build.report["emulation"]["instructions"] > 0, mcukit.verify(build, "host").equal)
kept = mcukit.check_budgets(build, mcukit.Budgets(sram=1 << 20)).passed
print(mcukit.export_build(build, "cmake").header, kept, len(workflow_text()) > 0)
"""


def run(*arguments: str | Path, folder: Path, search: str = "") -> str:
    environment = {**os.environ, "PYTHONPATH": search, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    options = ("--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--wheel-dir", folder)
    run("-m", "pip", "wheel", *options, CHECKOUT, folder=folder)
    (built,) = folder.glob("*.whl")
    return built


def files_below(folder: Path, suffixes: tuple[str, ...]) -> set[str]:
    paths = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(folder).as_posix() for path in paths if path.name.endswith(suffixes)}


def test_the_wheel_has_all_files_and_no_others(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if not name.startswith(f"mcukit-{mcukit.__version__}.")}
    package = files_below(CHECKOUT / "mcukit", (".py", ".j2", ".css", ".toml", ".c", ".h", ".onnx", ".typed", ".yml"))
    expected = {f"mcukit/{name}" for name in package}
    for folder in (firmware_dir(), boards_dir()):
        expected |= {f"mcukit/_data/{folder.name}/{name}" for name in files_below(folder, ("",))}
    assert names == expected
    assert {"mcukit/demo/digits96.onnx", "mcukit/emulation/plugin/count.c"} <= names


def test_the_wheel_says_what_it_needs(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        information = f"mcukit-{mcukit.__version__}.dist-info"
        metadata = email.message_from_bytes(archive.read(f"{information}/METADATA"))
        assert b"Apache License" in archive.read(f"{information}/licenses/LICENSE")
    assert metadata["Version"] == mcukit.__version__
    assert metadata["Requires-Python"] == ">=3.11"
    requirements = metadata.get_all("Requires-Dist") or []
    always = {str(line).split(">")[0] for line in requirements if "extra ==" not in str(line)}
    # Whoever only quantizes has no framework to install.
    assert always.isdisjoint({"torch", "tensorflow", "scikit-learn", "matplotlib", "platformio"})
    assert {"numpy", "onnx", "jinja2", "pillow"} <= {name.lower() for name in always}


def test_the_wheel_works_away_from_the_checkout(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    empty = tmp_path / "empty"
    empty.mkdir()
    run("-m", "pip", "install", "--no-deps", "--no-index", "--quiet", "--target", site, wheel, folder=empty)
    # What mcukit depends on comes from the interpreter of this test; `site` comes before the checkout.
    lines = run("-c", USE, folder=empty, search=str(site)).splitlines()
    package = site / "mcukit"
    boards = len(list(boards_dir().glob("*.toml")))
    assert lines == [
        f"{package}",
        f"{package / '_data' / 'firmware'} True",
        f"{package / '_data' / 'boards'} {boards} 122880",
        f"{mcukit.__version__} mcukit.cli.main:main",
        "True True",
        "mcukit_digits96.h True True",
    ]
