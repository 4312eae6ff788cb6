# SPDX-License-Identifier: Apache-2.0
"""Build folders: written whole or not at all, read back only as they were written."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mcukit.calibration.float_model import FloatModel
from mcukit.errors import McukitError
from mcukit.workflow.build import Build, load_build, write_build
from mcukit.workflow.quantize import quantize

MANIFEST = {"mcukit": "1"}


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def code_of(function: Callable[[], object]) -> str:
    """The one problem's code; it names a place and a way out."""
    with pytest.raises(McukitError) as caught:
        function()
    (problem,) = caught.value.problems
    assert problem.where
    assert problem.hint
    assert "\n" not in problem.message
    return problem.code


@pytest.fixture
def copy(small: Build, tmp_path: Path) -> Path:
    return Path(shutil.copytree(small.folder, tmp_path / "copy"))


def test_files_of_a_build_replace_those_of_the_last(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "build"
    write_build(folder, {"a/b": b"1", "c": b"2"}, MANIFEST)
    write_build(folder, {"a/d": b"3"}, MANIFEST)
    assert set(contents(folder)) == {"a/d", "manifest.json"}
    assert [path.name for path in folder.parent.iterdir()] == ["build"]


def test_a_failed_write_leaves_the_old_build(tmp_path: Path) -> None:
    folder = tmp_path / "build"
    write_build(folder, {"a": b"1"}, MANIFEST)
    before = contents(folder)
    # "b" can't be a file and a folder.
    assert code_of(lambda: write_build(folder, {"b": b"2", "b/c": b"3"}, MANIFEST)) == "unwritable-output"
    assert contents(folder) == before
    assert [path.name for path in tmp_path.iterdir()] == ["build"]


@pytest.mark.parametrize("failing", [1, 2])
def test_a_failed_rename_leaves_the_old_build(failing: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "build"
    write_build(folder, {"a": b"1"}, MANIFEST)
    before = contents(folder)
    rename, calls = Path.rename, []

    def flaky(self: Path, target: Path) -> Path:
        calls.append(target)
        if len(calls) == failing:
            raise OSError(28, "No space left on device")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", flaky)
    assert code_of(lambda: write_build(folder, {"a": b"2"}, MANIFEST)) == "unwritable-output"
    assert contents(folder) == before
    assert [path.name for path in tmp_path.iterdir()] == ["build"]


@pytest.mark.parametrize(
    "files",
    [
        {"notes.txt": b"mine"},
        {"manifest.json": b'{"name": "a browser extension"}', "icon.png": b""},
        {"manifest.json": b'{"mcukit": "1", "files": {"a": ""}}', "a": b"1", "notes.txt": b"mine"},
        {"manifest.json": b"[]"},
        {"manifest.json": b'{"mcukit": "1"}'},
        {"manifest.json": b'{"mcukit": "1", "files": 3}'},
    ],
    ids=["no manifest", "another manifest", "a file of the user's", "a list", "no files", "a number"],
)
def test_a_folder_that_is_not_just_a_build_is_never_replaced(files: dict[str, bytes], tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    assert code_of(lambda: write_build(folder, {"a": b"2"}, MANIFEST)) == "unwritable-output"
    assert contents(folder) == files


def test_what_platformio_left_in_the_firmware_goes_with_the_build(tmp_path: Path) -> None:
    folder = tmp_path / "build"
    write_build(folder, {"firmware/platformio.ini": b"1"}, MANIFEST)
    for name in (".pio/build/board/firmware.elf", ".emulated/cortex-m4.elf", "platform/p/__pycache__/platform.pyc"):
        path = folder / "firmware" / name
        path.parent.mkdir(parents=True)
        path.write_bytes(b"2")
    write_build(folder, {"firmware/platformio.ini": b"3"}, MANIFEST)
    assert set(contents(folder)) == {"firmware/platformio.ini", "manifest.json"}


def test_what_was_edited_for_a_board_is_kept(small: Build, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(small.folder, tmp_path / "build"))
    settings = folder / "firmware" / "platformio.ini"
    edited = settings.read_text() + "\nupload_protocol = dfu\n"
    settings.write_text(edited)
    build = load_build(folder)
    assert build.name == small.name
    assert code_of(lambda: write_build(folder, {"a": b"1"}, MANIFEST)) == "unwritable-output"
    assert settings.read_text() == edited


def test_a_file_in_the_way_and_an_impossible_path_are_one_message(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for folder in (tmp_path / "file", tmp_path / "file" / "below", tmp_path / ("x" * 300)):
        assert code_of(lambda folder=folder: write_build(folder, {"a": b""}, MANIFEST)) == "unwritable-output"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    write_build(tmp_path / "empty", {"a": b"1"}, MANIFEST)
    (tmp_path / "other").mkdir()
    write_build(tmp_path / "other", {"a": b"1"}, MANIFEST)
    assert contents(tmp_path / "empty") == contents(tmp_path / "other")


def test_the_same_model_gives_the_same_bytes(small: Build, small_model: Path, tmp_path: Path) -> None:
    again = quantize(small_model, tmp_path / "again")
    assert contents(again.folder) == contents(small.folder)


def test_the_float_network_is_the_one_that_was_quantized(small: Build) -> None:
    graph = small.float_graph()
    assert graph is not None
    assert graph.inputs == small.model.graph.inputs
    values = np.random.default_rng(0).random((2, 6, 6, 2), np.float32)
    outputs = FloatModel(graph).outputs(values)
    assert [output.shape[0] for output in outputs] == [2] * len(graph.outputs)


@pytest.mark.parametrize(
    "name", ["model/quantized.npz", "model/net.c", "report.json", "plan.json", "tflite/net.tflite"]
)
def test_changed_and_missing_files_are_refused(name: str, copy: Path) -> None:
    path = copy / name
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    assert code_of(lambda: load_build(copy)) == "invalid-build"
    path.unlink()
    assert code_of(lambda: load_build(copy)) == "invalid-build"
    path.write_bytes(data)
    assert load_build(copy).model.layers


CHANGES: dict[str, Callable[[dict[str, object]], object]] = {
    "another schema": lambda manifest: manifest.update(schema=99),
    "no files": lambda manifest: manifest.pop("files"),
    "files in a list": lambda manifest: manifest.update(files=["report.json"]),
    "not hashed": lambda manifest: manifest.update(files={}),
    "a path outside": lambda manifest: manifest["files"].update({"../outside": "0"}),
    "an absolute path": lambda manifest: manifest["files"].update({"/etc/passwd": "0"}),
    "a zero byte": lambda manifest: manifest["files"].update({"a\0b": "0"}),
    "no preprocessing": lambda manifest: manifest.pop("preprocessing"),
    "preprocessing of text": lambda manifest: manifest.update(preprocessing={"scale": "x", "mean": [], "std": []}),
    "preprocessing in a list": lambda manifest: manifest.update(preprocessing=[1]),
}


@pytest.mark.parametrize("change", CHANGES)
def test_manifests_that_make_no_sense_are_refused(change: str, copy: Path) -> None:
    (copy.parent / "outside").write_bytes(b"")
    manifest = json.loads((copy / "manifest.json").read_bytes())
    CHANGES[change](manifest)
    (copy / "manifest.json").write_text(json.dumps(manifest))
    assert code_of(lambda: load_build(copy)) == "invalid-build"


@pytest.mark.parametrize("text", ["", "[]", "{", "[" * 100_000], ids=["empty", "list", "open", "deep"])
def test_manifests_that_are_no_objects_are_refused(text: str, copy: Path) -> None:
    (copy / "manifest.json").write_text(text)
    assert code_of(lambda: load_build(copy)) == "invalid-build"


def test_a_manifest_that_is_cut_short_says_what_and_where_and_what_to_do(copy: Path) -> None:
    manifest = copy / "manifest.json"
    manifest.write_bytes(manifest.read_bytes()[:100])
    with pytest.raises(McukitError, match=r"'manifest\.json' is damaged") as caught:
        load_build(copy)
    (problem,) = caught.value.problems
    assert problem.where == str(copy)
    assert "remove the folder, and run `mcukit quantize`" in problem.hint


def test_a_folder_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    assert code_of(lambda: load_build(tmp_path / "missing")) == "invalid-build"


def test_inputs_of_another_shape_are_refused(small: Build) -> None:
    with pytest.raises(McukitError, match=r"\(6, 6, 2\)"):
        small.quantize_inputs(np.zeros((1, 6, 6, 3), np.uint8))


def test_inputs_become_the_bytes_of_their_real_values(small: Build) -> None:
    values = np.random.default_rng(0).integers(0, 256, (3, 6, 6, 2)).astype(np.uint8)
    quantization = small.model.input.quantization
    assert quantization is not None
    expected = quantization.quantize(values.astype(np.float32) * np.float32(small.preprocessing.scale))
    np.testing.assert_array_equal(small.quantize_inputs(values), expected.reshape(3, -1))
