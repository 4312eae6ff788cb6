# SPDX-License-Identifier: Apache-2.0
"""Firmware projects: ini files that PlatformIO takes, C that boards' compilers take, and memory that linkers watch."""

from __future__ import annotations

import configparser
import json
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from mcukit.boards import Board, PlatformIO, list_boards, load_board
from mcukit.emulation.toolchain import find_tool
from mcukit.export.names import file_stem
from mcukit.export.platformio import platformio_files
from mcukit.export.project_model import PORTS, code_hash
from mcukit.resources import firmware_dir
from tests.export.offline_platformio import OfflinePlatformIO
from tests.export.projects import compile_each, compiler_for, project_model, written

BOARDS = {board.id: board for board in list_boards()}
STUBS = Path(__file__).parent.parent / "firmware" / "stubs"
NAMES = ("net", "while", "../x", "a;b", "${env.x}", "%(y)s", '"', "*/", "1 2 3", "string", "", "ä" * 99, "x\n[env:y]")
NAMES_OF_INI_FILES = ("${env.x}", "%(y)s", "x\n[env:y]")
EMULATED = [
    f"emulated-{name}"
    for name in ("cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33", "cortex-m55", "riscv32", "stm32f405")
]


def ini_of(files: dict[str, bytes]) -> configparser.ConfigParser:
    """platformio.ini as PlatformIO reads it: without interpolation, which it does by itself."""
    parser = configparser.ConfigParser(inline_comment_prefixes=("#", ";"), strict=True, interpolation=None)
    parser.read_string(files["platformio.ini"].decode())
    return parser


def with_platformio(board: Board, **changes: object) -> Board:
    assert board.platformio is not None
    return replace(board, platformio=replace(board.platformio, **changes))


@pytest.mark.parametrize("board_id", BOARDS)
def test_the_project_of_a_board_says_what_the_board_is(board_id: str, pio: OfflinePlatformIO, tmp_path: Path) -> None:
    board = BOARDS[board_id]
    assert board.platformio is not None
    files = platformio_files(project_model(), [board])
    parser = ini_of(files)
    frameworks = [port for port in PORTS if port in board.platformio.frameworks]
    names = [board_id, *(f"{board_id}-{framework}" for framework in frameworks[1:])]
    assert parser.sections() == ["platformio", "env", *(f"env:{name}" for name in (*names, *EMULATED))]
    assert parser["platformio"]["default_envs"] == board_id
    for name, framework in zip(names, frameworks, strict=True):
        section = dict(parser[f"env:{name}"])
        assert section["platform"] == board.platformio.platform
        assert section["board"] == board.platformio.board
        assert section["framework"] == framework
        assert section["monitor_speed"] == str(board.serial.baud)
        assert (section.get("upload_protocol") == "stlink") == (board.serial.connection == "st-link")
        unused = [f"-<{port}/>" for port in (*frameworks, "emulated") if port != framework]
        assert section["build_src_filter"].split() == ["+<*>", *unused]
        assert {path.split("/")[1] for path in files if path.startswith(tuple(f"src/{p}/" for p in PORTS))} == set(
            frameworks
        )
    for name in EMULATED:
        section = dict(parser[f"env:{name}"])
        folder = section["platform"].removeprefix("symlink://")
        assert f"{folder}/boards/{section['board']}.json" in files
        assert section["build_src_filter"].split() == ["+<*>", *(f"-<{port}/>" for port in frameworks)]
    assert pio.problems_of(written(files, tmp_path)) == []


def test_without_a_board_there_is_an_environment_for_each(pio: OfflinePlatformIO, tmp_path: Path) -> None:
    files = platformio_files(project_model(), list(BOARDS.values()), only_fitting=True)
    parser = ini_of(files)
    assert parser["platformio"]["default_envs"].split(", ") == list(BOARDS)
    header = files["src/mcukit_board.h"].decode()
    for board_id in BOARDS:
        (macro,) = re.findall(r"-D (MCUKIT_BOARD_\w+)", parser[f"env:{board_id}"]["build_flags"])
        assert f"defined({macro})\n/* " in header
        assert f'#define MCUKIT_BOARD "{board_id}"\n' in header
    assert pio.problems_of(written(files, tmp_path)) == []


def test_boards_that_can_have_no_project_are_named_with_the_reason() -> None:
    small = project_model()
    bluepill, esp32 = BOARDS["bluepill_f103c8"], BOARDS["esp32dev"]
    large = replace(small, arenas={"ram": 20_000}, weight_bytes=1000)
    heavy = replace(small, weight_bytes=65_537)
    cases = [
        (large, bluepill, "`bluepill_f103c8`: the arena needs 5,664 bytes of RAM more than it has."),
        (heavy, bluepill, "`bluepill_f103c8`: the weights need 1 byte of flash more than it has."),
        (small, replace(bluepill, platformio=None), "`bluepill_f103c8`: its file has no [platformio]."),
        (
            small,
            with_platformio(bluepill, frameworks=("cmsis", "zephyr")),
            "`bluepill_f103c8`: of its frameworks, cmsis, zephyr, none has a port; arduino and espidf have.",
        ),
    ]
    for model, board, reason in cases:
        files = platformio_files(model, [board], only_fitting=True)
        assert ini_of(files)["platformio"]["default_envs"] == "emulated-cortex-m3"
        assert f"\n- {reason}\n" in files["README.md"].decode()
        both = platformio_files(model, [board, esp32], only_fitting=True)
        assert f"\n- {reason}\n" in both["README.md"].decode()
        assert ini_of(both)["platformio"]["default_envs"] == "esp32dev"


def test_a_board_that_was_asked_for_gets_its_project_even_if_it_is_too_small() -> None:
    model = replace(project_model(), arenas={"sram": 20_000})
    files = platformio_files(model, [BOARDS["bluepill_f103c8"]])
    assert "#define MCUKIT_KEEPS_INPUT 0\n" in files["src/mcukit_board.h"].decode()


@pytest.mark.parametrize(("free", "keeps"), [(360, 1), (359, 0)])
def test_the_input_is_kept_where_there_is_room_for_it(free: int, keeps: int) -> None:
    model = replace(project_model(), arenas={"sram": 20_480 - 6_144 - free})
    header = platformio_files(model, [BOARDS["bluepill_f103c8"]])["src/mcukit_board.h"].decode()
    assert f"#define MCUKIT_KEEPS_INPUT {keeps}\n" in header


@pytest.mark.parametrize("name", NAMES)
def test_whatever_a_network_is_called_its_files_are_as_safe(name: str, pio: OfflinePlatformIO, tmp_path: Path) -> None:
    model = project_model(name)
    files = platformio_files(model, [BOARDS["esp32-c3-devkitm-1"]])
    for path, content in files.items():
        assert re.fullmatch(r"[\w./-]+", path, re.ASCII)
        assert not {"..", ""} & set(path.split("/"))
        assert content.isascii()
        assert b"\r" not in content
    real = ("esp32-c3-devkitm-1", "esp32-c3-devkitm-1-espidf")
    assert ini_of(files).sections() == ["platformio", "env", *(f"env:{env}" for env in (*real, *EMULATED))]
    for path in files:
        if path.endswith(("library.json", "platform.json")):
            assert json.loads(files[path])["license"] == "Apache-2.0"
    assert files[f"lib/{model.name}_model/src/{model.name}_model/{model.name}.c"] == model.c_files[f"{model.name}.c"]
    if name in NAMES_OF_INI_FILES:
        assert pio.problems_of(written(files, tmp_path)) == []


HEADERS = {
    "Arduino",
    "ARDUINO",
    "math",
    "stdio",
    "main",
    "String",
    "Wire",
    "SPI",
    "port_serial",
    "mcukit_nn",
    "esp_err",
}


@pytest.mark.parametrize("name", sorted(HEADERS))
def test_no_header_of_a_network_is_found_in_place_of_another(name: str) -> None:
    """Folders of libraries and of the application are searched before the framework's and the compiler's."""
    boards = [BOARDS["esp32-c3-devkitm-1"]]

    def found(files: dict[str, bytes]) -> set[str]:
        roots = re.compile(r"(?:src|lib/[^/]+/src|test/[^/]+|platform/[^/]+/ports)/([^/]+\.h)")
        return {match[1] for match in map(roots.fullmatch, files) if match}

    files = platformio_files(project_model(name), boards)
    assert found(files) == found(platformio_files(project_model(), boards))
    assert f"{file_stem(name)}.h" not in found(files)


@pytest.mark.parametrize("name", ["", "Network", "Serial", "known answer"])
def test_a_network_may_be_called_like_a_part_of_the_application(name: str, tmp_path: Path) -> None:
    board, model = BOARDS["nucleo_f446re"], project_model(name)
    folder = written(platformio_files(model, [board]), tmp_path / "project")
    library = folder / f"lib/{model.name}_model/src"
    test = folder / "test/test_known_answer"
    includes = [folder / "src", library, folder / "lib/mcukit_nn/src", test, STUBS / "arduino"]
    command = [*compiler_for(board), *(f"-I{path}" for path in includes), "-DMCUKIT_BOARD_NUCLEO_F446RE"]
    sources = [folder / "src/serial/network.c", folder / "src/serial/text.c", test / "known_answer.c"]
    assert compile_each(command, [*sources, *library.rglob("*.c")], tmp_path)


def test_whatever_a_users_board_is_called_the_ini_stays_as_it_is() -> None:
    board = replace(BOARDS["nucleo_f446re"], name="x\n[env:evil]\nplatform = y\N{SNOWMAN} */ #define Z")
    files = platformio_files(project_model(), [board])
    assert ini_of(files).sections() == ["platformio", "env", "env:nucleo_f446re", *(f"env:{env}" for env in EMULATED)]
    assert b"/* x?[env:evil]?platform = y? * / #define Z */\n" in files["src/mcukit_board.h"]
    assert all(content.isascii() for content in files.values())


def test_a_board_that_is_called_like_an_emulated_one_is_another() -> None:
    board = replace(BOARDS["nucleo_f446re"], id="emulated-cortex-m4")
    parser = ini_of(platformio_files(project_model(), [board]))
    assert parser["env:emulated-cortex-m4"]["platform"] == "ststm32"
    assert parser["env:emulated-cortex-m4-qemu"]["platform"].startswith("symlink://")


def test_emulated_boards_that_are_too_small_are_named() -> None:
    model = replace(project_model(), arenas={"ram": 200_000}, weight_bytes=1000)
    files = platformio_files(model, [BOARDS["nucleo_h743zi"]])
    assert ini_of(files).sections()[-1] == "env:emulated-riscv32"
    assert b"\n- `emulated-stm32f405`: it has 85,312 bytes of memory too few.\n" in files["README.md"]
    flash = replace(model, arenas={"ram": 1000}, weight_bytes=(1 << 20) + 1)
    assert b"`emulated-stm32f405`: it has 1 byte of memory too few." in platformio_files(flash, [])["README.md"]


def test_the_same_network_gives_the_same_bytes() -> None:
    boards = list(BOARDS.values())
    assert platformio_files(project_model(), boards) == platformio_files(project_model(), boards)


def test_libraries_hold_the_runtime_and_the_network_and_nothing_else() -> None:
    model = project_model()
    files = platformio_files(model, [BOARDS["nucleo_f446re"]])
    runtime = {path.name: path.read_bytes() for path in (firmware_dir() / "mcukit_nn" / "src").iterdir()}
    assert {p.rsplit("/", 1)[1]: c for p, c in files.items() if p.startswith("lib/mcukit_nn/src/")} == runtime
    assert {p.rsplit("/", 1)[1]: c for p, c in files.items() if p.startswith("lib/net_model/src/net_model/")} == dict(
        model.c_files
    )
    assert f'"{code_hash(model.c_files)}"'.encode() in files["src/mcukit_project.h"]


@pytest.mark.parametrize(
    ("board_id", "app_bytes", "flash"),
    [("esp32dev", 0x3F0000, 4), ("esp32-s3-devkitc-1", 0x7F0000, 8), ("esp32-c6-devkitc-1", 0x7F0000, 8)],
)
def test_the_application_has_all_flash_of_an_esp32(board_id: str, app_bytes: int, flash: int) -> None:
    files = platformio_files(project_model(), [BOARDS[board_id]])
    table = files[f"partitions/{board_id}.csv"].decode()
    rows = [[cell.strip() for cell in line.split(",")] for line in table.splitlines() if not line.startswith("#")]
    ends = [int(offset, 16) + int(size, 16) for *_, offset, size in rows]
    assert [int(row[3], 16) for row in rows[1:]] == ends[:-1], "partitions follow each other"
    assert int(rows[-1][4], 16) == app_bytes
    assert ends[-1] == flash << 20
    assert f"CONFIG_ESPTOOLPY_FLASHSIZE_{flash}MB=y\n" in files[f"sdkconfig/{board_id}.defaults"].decode()


ENVIRONMENTS = [(board_id, port) for board_id, board in BOARDS.items() for port in PORTS
                if board.platformio and port in board.platformio.frameworks]  # fmt: skip


@pytest.mark.parametrize("energy", [False, True], ids=["times", "energy"])
@pytest.mark.parametrize(("board_id", "framework"), ENVIRONMENTS)
def test_the_c_of_a_project_compiles_for_its_board(board_id: str, framework: str, energy: bool, tmp_path: Path) -> None:
    board = BOARDS[board_id]
    folder = written(platformio_files(project_model(), [board]), tmp_path / "project")
    includes = [folder / "src", folder / "lib/net_model/src", folder / "lib/mcukit_nn/src", STUBS / framework]
    defines = [
        "-DMK_PROFILE",
        f"-DMCUKIT_BOARD_{re.sub('[^A-Z0-9]', '_', board_id.upper())}",
        *["-DMCUKIT_ENERGY_MODE"] * energy,
    ]
    if board.platformio and board.platformio.platform == "espressif32":
        defines.append("-DARDUINO_ARCH_ESP32")
    command = [*compiler_for(board), *(f"-I{path}" for path in includes), *defines]
    port = sorted((folder / "src" / framework).iterdir())
    application = sorted((folder / "src/serial").glob("*.c"))
    network = sorted((folder / "lib/net_model/src/net_model").glob("*.c"))
    sources = [path for path in port if path.suffix in {".c", ".cpp"}]
    # The application's other files in either form are compiled by the tests of the application.
    sources += [folder / "src/serial/banner.c"] if energy else [*application, *network]
    assert len(compile_each(command, sources, tmp_path)) == len(sources) >= 3


FRAMEWORK_SCRIPT = """
MEMORY
{{
    FLASH (rx) : ORIGIN = 0x08000000, LENGTH = {flash}
    RAM (xrw) : ORIGIN = 0x24000000, LENGTH = {ram}
}}
SECTIONS
{{
    .text : {{ *(.text*) *(.rodata*) }} >FLASH
    .data : {{ *(.data*) }} >RAM AT>FLASH
    .bss : {{ *(.bss) *(.bss*) *(COMMON) }} >RAM
}}
"""
MAIN = """
#include "net.h"
int main(void)
{
    net_init();
    net_input()[0] = 0;
    net_invoke();
    return net_output()[0];
}
"""
REGIONS = (("dtcm", 500), ("axi", 1000))


MEMORIES = (  # bytes of flash, of the framework's RAM, of a region of ours, and what overflows
    (200_000, 1100, 131_072, ""),
    (200_000, 100, 131_072, "RAM"),
    (1000, 1100, 131_072, "FLASH"),
    (200_000, 1100, 64, "MCUKIT_DTCM"),
)


def test_memory_that_does_not_suffice_is_an_error_of_the_linker(tmp_path: Path) -> None:
    """Under a script that takes all zeroed data, as frameworks' scripts do, and in the order of PlatformIO's link."""
    board = load_board("nucleo_h743zi")
    compiler = compiler_for(board)
    model = project_model("net", REGIONS)
    assert set(model.arenas) == {"dtcm", "axi"}
    (tmp_path / "main.c").write_text(MAIN)
    objects: list[Path] = []
    for flash, ram, dtcm, overflow in MEMORIES:
        small = replace(board, memory=tuple(replace(r, bytes=dtcm) if r.name == "dtcm" else r for r in board.memory))
        folder = written(platformio_files(model, [small]), tmp_path / f"project-{flash}-{ram}-{dtcm}")
        if not objects:  # only scripts differ
            libraries = [folder / "lib/net_model/src/net_model", folder / "lib/mcukit_nn/src"]
            sources = [tmp_path / "main.c", *(path for library in libraries for path in sorted(library.glob("*.c")))]
            objects = compile_each([*compiler, *(f"-I{library}" for library in libraries)], sources, tmp_path)
        (tmp_path / "framework.ld").write_text(FRAMEWORK_SCRIPT.format(flash=flash, ram=ram))
        (script,) = re.findall(r"-Wl,--script=\S+", (folder / "platformio.ini").read_text())
        link = [*compiler, "-T", tmp_path / "framework.ld", script, "-nostartfiles", "-Wl,--entry=main,--gc-sections"]
        program = tmp_path / f"program-{overflow}.elf"
        done = subprocess.run([*link, *objects, "-o", program], cwd=folder, capture_output=True, text=True, check=False)
        assert re.findall(r"region `(\w+)' overflowed", done.stderr) == ([overflow] if overflow else [])
        assert (done.returncode == 0) == (not overflow), done.stderr
    sections = subprocess.run(
        [find_tool("arm-none-eabi-nm"), "--format=posix", tmp_path / "program-.elf"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    places = {n: int(a, 16) >> 24 for n, a in re.findall(r"^(arena_\w+) \w (\w+)", sections, re.MULTILINE)}
    assert places == {"arena_dtcm": 0x20, "arena_axi": 0x24}


def test_regions_of_the_frameworks_script_need_no_script_of_ours() -> None:
    for board_id, regions in (("nucleo_f746zg", {"dtcm": 900, "sram": 900}), ("nucleo_f446re", {"sram": 900})):
        model = replace(project_model(), arenas=regions)
        files = platformio_files(model, [BOARDS[board_id]])
        assert not [path for path in files if path.startswith("linker/")]
        assert b"--script" not in files["platformio.ini"]


def test_platformio_is_described_by_what_board_files_may_say() -> None:
    assert PlatformIO("b", "p", ("arduino",)).linked == ()
    assert BOARDS["nucleo_f746zg"].linked_regions == ("dtcm", "sram")
    assert BOARDS["nucleo_h743zi"].linked_regions == ("axi",)
    assert BOARDS["black_f407ve"].linked_regions == ("sram",)
