# SPDX-License-Identifier: Apache-2.0
"""Exports of whole builds: where they go, what they replace, and what is refused."""

from __future__ import annotations

import json
import shutil
import subprocess
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import mcukit
from mcukit.emulation.targets import TARGETS
from mcukit.emulation.toolchain import compile_objects, link
from mcukit.errors import McukitError
from mcukit.export.known_input import checksum_of, known_bytes
from mcukit.tflite.micro import run_tflm
from mcukit.workflow.build import Build, load_build
from mcukit.workflow.export import EXPORT_FORMATS, export_build
from mcukit.workflow.quantize import quantize


def contents(path: Path) -> dict[str, bytes]:
    """Of a folder, or of a zip."""
    if path.is_file():
        with zipfile.ZipFile(path) as archive:
            return {name: archive.read(name) for name in archive.namelist()}
    return {file.relative_to(path).as_posix(): file.read_bytes() for file in path.rglob("*") if file.is_file()}


def refused(function: Callable[[], object], code: str, *, exit_code: int = 1) -> str:
    """The message of the one problem, which names a place and a way out."""
    with pytest.raises(McukitError) as caught:
        function()
    (problem,) = caught.value.problems
    assert problem.code == code
    assert caught.value.exit_code == exit_code
    assert problem.where
    assert problem.hint
    return problem.message


@pytest.fixture
def copy(small: Build, tmp_path: Path) -> Path:
    return Path(shutil.copytree(small.folder, tmp_path / "copy"))


@pytest.mark.parametrize("to", EXPORT_FORMATS)
def test_an_export_lies_beside_the_build_and_has_the_same_bytes_each_time(
    to: str, small: Build, tmp_path: Path
) -> None:
    found = export_build(small, to)
    suffix = ".zip" if to == "arduino" else ""
    assert found.path == small.folder.parent / "export" / small.folder.name / to / f"mcukit_net{suffix}"
    assert found.header == "mcukit_net.h"
    again = export_build(small, to, tmp_path / f"mcukit_net{suffix}")
    assert contents(again.path) == contents(found.path)
    assert (again.path.read_bytes() if suffix else b"") == (found.path.read_bytes() if suffix else b"")
    top = "mcukit_net/" if suffix else ""
    assert sorted(contents(found.path)) == [f"{top}{name}" for name in found.files]
    manifest = json.loads(contents(found.path)[f"{top}manifest.json"])
    assert manifest["export"] == to
    assert manifest["build"]["model"] == small.manifest["model"]
    before = contents(found.path)
    assert contents(export_build(small, to).path) == before, "it is replaced"
    assert [path.name for path in tmp_path.iterdir()] == [f"mcukit_net{suffix}"], "nothing is left behind"


def test_a_zip_holds_what_the_folder_would(small: Build, tmp_path: Path) -> None:
    folder, archive = (export_build(small, "cmake", tmp_path / name).path for name in ("folder", "archive.zip"))
    assert contents(archive) == {f"mcukit_net/{name}": data for name, data in contents(folder).items()}


@pytest.mark.parametrize("folder", [".", "../build"])
def test_a_build_may_be_the_current_folder(
    folder: str, small: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(small.folder, tmp_path / "build")
    monkeypatch.chdir(tmp_path / "build")
    found = export_build(load_build(Path(folder)), "cmake")
    assert found.path.resolve() == tmp_path / "export" / "build" / "cmake" / "mcukit_net"


def test_builds_of_one_network_have_packages_of_their_own(small: Build, tmp_path: Path) -> None:
    paths = {
        export_build(load_build(Path(shutil.copytree(small.folder, tmp_path / name))), "cmake").path
        for name in ("first", "second")
    }
    assert paths == {tmp_path / "export" / name / "cmake" / "mcukit_net" for name in ("first", "second")}


def test_the_example_of_a_network_with_two_outputs_checks_both(small: Build, tmp_path: Path) -> None:
    found = export_build(small, "cmake", tmp_path / "net")
    host, example, source = TARGETS["host"], found.path / "example" / "main.c", found.path / "src"
    objects = compile_objects(sorted(source.glob("*.c")), host, includes=[source])
    objects += compile_objects([example], host, includes=[found.path / "include"])
    program = link(objects, tmp_path / "example", host)
    said = subprocess.run([program], capture_output=True, text=True, check=True).stdout
    assert "output 1:\n" in said
    assert "output 2:\n" in said
    assert f"checksum 0x{found.checksum:08X}, as expected\n" in said


def test_tensorflow_lite_micro_computes_what_its_example_expects(small: Build, tmp_path: Path) -> None:
    found = export_build(small, "esp-idf-tflm", tmp_path / "net")
    fed = np.frombuffer(known_bytes(small.model.input.elements), np.int8).reshape(1, *small.model.input.shape[1:])
    outputs = run_tflm(small.tflite(), fed)
    assert [output.size for output in outputs] == [tensor.elements for tensor in small.model.outputs]
    assert checksum_of(output.astype(np.int8).tobytes() for output in outputs) == found.checksum
    kconfig = (found.path / "Kconfig").read_text()
    assert f"allocated {small.report['tflite']['tflm_arena_bytes']} bytes" in kconfig


def test_a_plan_of_several_memories_says_which_sections_belong_where(small_model: Path, tmp_path: Path) -> None:
    build = quantize(small_model, tmp_path / "build")
    plan = replace(build.plan, arenas={"dtcm": 100, "axi": 2000}, weights={build.model.steps[0].name: "qspi"})
    readme = (export_build(replace(build, plan=plan), "cmake").path / "README.md").read_text()
    assert "| `.bss.mcukit_arena.dtcm` | dtcm | 100 |\n| `.bss.mcukit_arena.axi` | axi | 2,000 |\n" in readme
    assert f"| `.rodata.mcukit_weights.qspi` | qspi | {4 * 20 + 4 * (4 + 4 + 1)} |\n" in readme
    assert "section" not in (export_build(build, "cmake").path / "README.md").read_text()


@pytest.mark.parametrize("to", ["cmake", "arduino"])
def test_what_someone_changed_or_added_is_never_replaced(to: str, small: Build, tmp_path: Path) -> None:
    path = tmp_path / ("net.zip" if to == "arduino" else "net")
    export_build(small, to, path)
    if path.is_file():
        entries = contents(path) | {"mcukit_net/notes.txt": b"mine"}
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in entries.items():
                archive.writestr(name, data)
    else:
        (path / "notes.txt").write_bytes(b"mine")
    before = contents(path)
    assert "'notes.txt'" in refused(lambda: export_build(small, to, path), "unwritable-output")
    assert contents(path) == before
    if path.is_dir():
        (path / "notes.txt").unlink()
        (path / "example" / "main.c").write_bytes(b"/* mine */")
        assert "'example/main.c', which was changed" in refused(
            lambda: export_build(small, to, path), "unwritable-output"
        )


def test_neither_builds_nor_other_exports_nor_strange_files_are_replaced(small: Build, tmp_path: Path) -> None:
    build = Path(shutil.copytree(small.folder, tmp_path / "build"))
    other = export_build(small, "esp-idf", tmp_path / "component").path
    (tmp_path / "zip.zip").write_bytes(b"PK no")
    with zipfile.ZipFile(tmp_path / "list.zip", "w") as archive:
        archive.writestr("mcukit_net/manifest.json", "[]")
    (tmp_path / "folder.zip").mkdir()
    for path in (build, other, *(tmp_path / name for name in ("zip.zip", "list.zip", "folder.zip"))):
        assert "is not a CMake export" in refused(
            lambda path=path: export_build(small, "cmake", path), "unwritable-output"
        )
    assert load_build(build).manifest == small.manifest


def test_no_build_is_written_over_an_export(small_model: Path, small: Build, tmp_path: Path) -> None:
    other = export_build(small, "cmake", tmp_path / "net").path
    before = contents(other)
    refused(lambda: quantize(small_model, other), "unwritable-output")
    assert contents(other) == before


def test_places_that_can_not_be_written_are_one_message(small: Build, copy: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    long = "x" * 300
    for to, path in (
        ("cmake", tmp_path / "file" / "below"),
        ("cmake", tmp_path / long),
        ("arduino", tmp_path / "file" / "below.zip"),
        ("arduino", tmp_path / f"{long}.zip"),
    ):
        refused(lambda to=to, path=path: export_build(small, to, path), "unwritable-output")
    build = load_build(copy)
    for path in (copy, copy / "export"):
        message = refused(lambda path=path: export_build(build, "cmake", path), "unwritable-output")
        assert "in the build folder" in message
    assert load_build(copy).manifest == small.manifest
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "file"]


def test_a_failed_zip_leaves_the_old_one(small: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = export_build(small, "arduino", tmp_path / "net.zip").path
    before = path.read_bytes()

    def full(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    assert "No space" in refused(lambda: export_build(small, "arduino", path), "unwritable-output")
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["net.zip"]


def test_wrong_use_is_told_apart(small: Build, tmp_path: Path) -> None:
    assert "'zephyr'" in refused(lambda: export_build(small, "zephyr"), "unknown-format", exit_code=2)
    refused(lambda: export_build(small, "arduino", tmp_path / "folder"), "wrong-option", exit_code=2)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("wrote", ["0.0.9", None, 3])
def test_a_build_of_another_version_is_refused(wrote: object, small: Build, tmp_path: Path) -> None:
    other = replace(small, manifest={**small.manifest, "mcukit": wrote})
    assert mcukit.__version__ in refused(lambda: export_build(other, "cmake", tmp_path / "net"), "invalid-build")
    assert list(tmp_path.iterdir()) == []


def test_a_manifest_without_the_c_files_is_refused(copy: Path, tmp_path: Path) -> None:
    manifest = json.loads((copy / "manifest.json").read_bytes())
    del manifest["files"]["model/net.c"]
    (copy / "manifest.json").write_text(json.dumps(manifest))
    build = load_build(copy)
    assert "model/net.c" in refused(lambda: export_build(build, "cmake", tmp_path / "net"), "invalid-build")
    assert not (tmp_path / "net").exists()


def test_an_arena_that_was_not_measured_is_not_guessed(small: Build, tmp_path: Path) -> None:
    unmeasured = replace(small, report={**small.report, "tflite": {**small.report["tflite"], "tflm_arena_bytes": None}})
    odd = replace(small, report={**small.report, "tflite": 3})
    for build in (unmeasured, odd):
        message = refused(lambda build=build: export_build(build, "esp-idf-tflm", tmp_path / "net"), "missing-package")
        assert "arena" in message
    assert list(tmp_path.iterdir()) == []
