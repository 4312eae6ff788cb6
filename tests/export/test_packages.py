# SPDX-License-Identifier: Apache-2.0
"""Packages for Arduino and ESP-IDF: what their build systems read, and C that compiles and runs."""

from __future__ import annotations

import re
import subprocess
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
import yaml

from mcukit.boards import load_board
from mcukit.emulation.targets import TARGETS
from mcukit.emulation.toolchain import compile_objects, find_tool
from mcukit.export.archive import zip_bytes
from mcukit.export.arduino import arduino_files
from mcukit.export.cmake import cmake_files
from mcukit.export.espidf import espidf_files, espidf_tflm_files
from mcukit.export.known_input import checksum_of, known_bytes
from mcukit.export.package_model import PackageModel
from mcukit.resources import firmware_dir
from tests.export.packages import STUBS, build_with_cmake, package_model, tflm_sources
from tests.export.projects import compile_each, compiler_for, written
from tests.export.test_platformio import NAMES

FORMATS: dict[str, Callable[[PackageModel], Mapping[str, bytes]]] = {
    "arduino": arduino_files,
    "cmake": cmake_files,
    "esp-idf": espidf_files,
    "esp-idf-tflm": lambda model: espidf_tflm_files(model, tflm_sources(model.name), 4096),
}
ODD_NAMES = (*NAMES, "nn", "arduino", "known", "known_input", "net\nincludes=evil.h", '")\nexecute_process(COMMAND x)')
BOARDS = ("nucleo_f446re", "esp32-c3-devkitm-1")


@pytest.mark.parametrize("name", ODD_NAMES)
@pytest.mark.parametrize("to", FORMATS)
def test_whatever_a_network_is_called_its_package_is_as_safe(to: str, name: str) -> None:
    model = package_model(name)
    files = FORMATS[to](model)
    for path, content in files.items():
        assert re.fullmatch(r"[\w./-]+", path, re.ASCII)
        assert not {"..", ""} & set(path.split("/"))
        assert content.isascii()
        assert b"\r" not in content
    assert b"Apache License" in files["LICENSE"]
    plain = FORMATS[to](package_model("net"))
    # Nothing but the name and what follows from it differs, so that no line can come from a name.
    assert {p: c.count(b"\n") for p, c in files.items() if p in plain and not p.startswith("src/")} == {
        p: c.count(b"\n") for p, c in plain.items() if p in files and not p.startswith("src/")
    }


@pytest.mark.parametrize("to", ["arduino", "cmake", "esp-idf"])
def test_a_package_holds_the_same_c_as_the_build(to: str) -> None:
    model = package_model()
    runtime = {path.name: path.read_bytes() for path in (firmware_dir() / "mcukit_nn" / "src").iterdir()}
    folder = "src/network/" if to == "arduino" else "src/"
    held = {p.removeprefix(folder): c for p, c in FORMATS[to](model).items() if p.startswith(folder)}
    held.pop("mcukit_net.h", None)
    assert held == {**runtime, **model.c_files}


def test_a_zip_depends_on_nothing_but_what_is_in_it() -> None:
    content = zip_bytes({"b/c.txt": b"1", "a.txt": b"2" * 1000})
    assert content == zip_bytes({"a.txt": b"2" * 1000, "b/c.txt": b"1"})
    with zipfile.ZipFile(BytesIO(content)) as archive:
        assert archive.namelist() == ["a.txt", "b/c.txt"]
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert {entry.external_attr >> 16 for entry in archive.infolist()} == {0o100644}
        assert archive.read("a.txt") == b"2" * 1000


def test_the_known_input_is_spread_over_all_bytes() -> None:
    values = known_bytes(4096)
    assert len(set(values)) == 256
    assert checksum_of([b""]) == 0x811C9DC5
    assert checksum_of([b"foobar"]) == checksum_of([b"foo", b"bar"]) == 0xBF9CF968  # as published for 32-bit FNV-1a


@pytest.mark.parametrize("to", FORMATS)
def test_readmes_say_whether_the_network_is_calibrated(to: str) -> None:
    for calibrated in (True, False):
        readme = FORMATS[to](replace(package_model(), calibrated=calibrated))["README.md"].decode()
        assert ("\n\n**Not calibrated.** " in readme) == (not calibrated)
        assert "\n\n\n" not in readme


class TestArduino:
    def test_the_library_is_as_the_specification_wants_it(self) -> None:
        files = arduino_files(package_model())
        lines = files["library.properties"].decode().splitlines()
        pairs = [line.split("=", 1) for line in lines if not line.startswith("#")]
        properties = dict(pairs)
        assert len(properties) == len(pairs)
        required = (
            "name",
            "version",
            "author",
            "maintainer",
            "sentence",
            "paragraph",
            "category",
            "url",
            "architectures",
        )
        assert set(required) <= set(properties)
        assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9 _.-]{0,62}", properties["name"])
        assert re.fullmatch(r"\d+\.\d+\.\d+", properties["version"])
        assert properties["category"] == "Data Processing"
        # Headers in the folder itself are offered to sketches; there is one.
        top = [path for path in files if re.fullmatch(r"src/[^/]+", path)]
        assert top == [f"src/{properties['includes']}"]
        # Archives keep one object of a name, and leave out what nobody calls: two networks may come with one runtime.
        assert properties["dot_a_linkage"] == "true"
        names = [path.rsplit("/", 1)[1] for path in files if path.startswith("src/") and path.endswith(".c")]
        assert len(names) == len(set(names))
        sketches = [path.split("/") for path in files if path.endswith(".ino")]
        assert [parts[:-1] for parts in sketches] == [
            ["examples", parts[-1].removesuffix(".ino")] for parts in sketches
        ]
        keywords = [line.split("\t") for line in files["keywords.txt"].decode().splitlines()]
        assert [kind for _, kind in keywords] == ["KEYWORD2"] * len(keywords)
        header = files["src/network/net.h"].decode()
        assert all(re.search(rf"\b{name}\(", header) for name, _ in keywords)

    @pytest.mark.parametrize("board", BOARDS)
    @pytest.mark.parametrize("plan", ["layers", "pushed"])
    def test_library_and_sketch_compile_for_boards(self, plan: str, board: str, tmp_path: Path) -> None:
        folder = written(arduino_files(package_model(plan=plan)), tmp_path / "library")
        compiler = compiler_for(load_board(board))
        network = sorted((folder / "src/network").glob("net*.c"))
        sketch = (folder / "examples/Inference/Inference.ino").rename(folder / "examples/Inference/Inference.cpp")
        includes = [f"-I{folder / 'src'}", f"-I{STUBS / 'arduino'}", "-include", "Arduino.h"]
        objects = compile_each(compiler, network, tmp_path)
        objects += compile_each([*compiler, *includes], [sketch], tmp_path)
        assert len(objects) == 3

    @pytest.mark.parametrize("plan", ["layers", "pushed"])
    @pytest.mark.parametrize("damaged", [False, True], ids=["right", "damaged"])
    def test_the_sketch_tells_right_bytes_from_wrong_ones(self, plan: str, damaged: bool, tmp_path: Path) -> None:
        """Compiled and run on this computer, with the few Arduino functions of run_sketch.cpp."""
        folder = written(arduino_files(package_model(plan=plan)), tmp_path / "library")
        if damaged:
            weights = folder / "src/network/net_weights.c"
            text = weights.read_text()
            number = re.search(r"\{\n\s*(-?\d+),", text)
            assert number
            start, end = number.span(1)
            weights.write_text(f"{text[:start]}{-int(number[1])}{text[end:]}")
        sources = folder / "src/network"
        objects = compile_objects(sorted(sources.glob("*.c")), TARGETS["host"], includes=[sources])
        sketch = folder / "examples/Inference/Inference.ino"
        flags = ["-std=c++11", "-Wall", "-Wextra", "-Werror", f"-I{folder / 'src'}", f"-I{STUBS / 'arduino'}"]
        harness = Path(__file__).parent / "run_sketch.cpp"
        compiler = [find_tool("g++"), *flags, "-include", "Arduino.h", "-x", "c++", sketch, harness, "-x", "none"]
        subprocess.run([*compiler, *objects, "-o", tmp_path / "sketch"], check=True)
        said = subprocess.run([tmp_path / "sketch"], capture_output=True, text=True, check=True, timeout=60).stdout
        # The clock moves by 7 for each call of the network: one, or one for each of 12 rows.
        assert said.startswith(f"net: {84 if plan == 'pushed' else 7} us\noutput:\n  [0] ")
        assert re.search(r"  and 350 more\n  the largest is \[\d+\]\n", said)
        assert said.endswith("checksum WRONG\n" if damaged else "checksum as expected\n")


class TestEspIdf:
    @pytest.mark.parametrize("to", ["esp-idf", "esp-idf-tflm"])
    def test_the_component_says_what_it_is(self, to: str) -> None:
        files = FORMATS[to](package_model())
        manifest = yaml.safe_load(files["idf_component.yml"])
        dependencies = {"idf": ">=5.0"} | ({"espressif/esp-tflite-micro": "^1.3.0"} if to == "esp-idf-tflm" else {})
        assert manifest["dependencies"] == dependencies
        assert re.fullmatch(r"\d+\.\d+\.\d+", manifest["version"])
        sources = set(re.findall(r'"(src/[^"]+)"', files["CMakeLists.txt"].decode()))
        assert sources == {path for path in files if path.startswith("src/") and path.endswith((".c", ".cc"))}

    @pytest.mark.parametrize(("plan", "board"), [("layers", BOARDS[1]), ("pushed", BOARDS[1])])
    def test_component_and_example_compile(self, plan: str, board: str, tmp_path: Path) -> None:
        folder = written(espidf_files(package_model(plan=plan)), tmp_path / "component")
        compiler = compiler_for(load_board(board))
        example = folder / "examples/inference/main/main.c"
        includes = [f"-I{folder / 'include'}", f"-I{STUBS / 'espidf'}"]
        objects = compile_each([*compiler, *includes], [*sorted((folder / "src").glob("net*.c")), example], tmp_path)
        assert len(objects) == 3

    def test_its_cmake_files_build_an_example_that_runs(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """By CMake itself, with a stand-in of ESP-IDF's functions, for this computer."""
        monkeypatch.setenv("IDF_PATH", str(Path(__file__).parent / "idf"))
        folder = written(espidf_files(package_model()), tmp_path / "mcukit_net")
        build_with_cmake(folder / "examples/inference", tmp_path / "build", f"-DSTUBS={STUBS / 'espidf'}")
        program = tmp_path / "build" / "net_inference"
        said = subprocess.run([program], capture_output=True, text=True, check=True, timeout=60).stdout
        values = r"output:\n(  \[\d\] .+\n){10}  and 350 more\n  the largest is \[\d+\]\n"
        assert re.fullmatch(rf"net: \d+ us\n{values}checksum .+, as expected\n", said)

    @pytest.mark.parametrize(("weights", "flash"), [(400_000, None), (800_000, 2), (3_700_000, 4), (4_000_000, 8)])
    def test_large_weights_get_a_partition_that_holds_them(self, weights: int, flash: int | None) -> None:
        files = espidf_files(replace(package_model(), weight_bytes=weights))
        settings = files["examples/inference/sdkconfig.defaults"].decode()
        if flash is None:
            assert "PARTITION" not in settings
            assert "examples/inference/partitions.csv" not in files
            return
        assert f"CONFIG_ESPTOOLPY_FLASHSIZE_{flash}MB=y\n" in settings
        table = files["examples/inference/partitions.csv"].decode().splitlines()[1:]
        rows = [[cell.strip() for cell in line.split(",")] for line in table]
        offset, size = (int(cell, 16) for cell in rows[-1][3:])
        assert offset == 0x10000 == int(rows[-2][3], 16) + int(rows[-2][4], 16)
        assert weights < size
        assert offset + size <= flash << 20
        assert size % 0x10000 == 0

    def test_the_c_of_tensorflow_lite_micro_compiles(self, tmp_path: Path) -> None:
        """Against a stub: whether names and types are right; nothing is run."""
        folder = written(FORMATS["esp-idf-tflm"](package_model(plan="pushed")), tmp_path / "component")
        assert b"push_row" not in (folder / "examples/inference/main/main.c").read_bytes()
        (option,) = re.findall(r"config (\w+)\n\s+int .+\n\s+default (\d+)\n", (folder / "Kconfig").read_text())
        assert int(option[1]) == 4096 + 16 * 1024
        compiler = [*compiler_for(load_board(BOARDS[1])), f"-I{folder / 'include'}", f"-I{STUBS / 'espidf'}"]
        defines = [f"-I{STUBS / 'tflm'}", f"-DCONFIG_{option[0]}={option[1]}"]
        sources = [*sorted((folder / "src").glob("*.cc")), folder / "examples/inference/main/main.c"]
        assert len(compile_each([*compiler, *defines], sources, tmp_path)) == 3
