# SPDX-License-Identifier: Apache-2.0
"""quantize --tflite-patches: the second .tflite file, its figures, and where it is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from mcukit.cli.command_line import cli
from mcukit.errors import McukitError
from mcukit.tflite.micro import measure_arena, run_tflm
from mcukit.tflite.reader import read_tflite
from mcukit.workflow.build import Build
from mcukit.workflow.options import QuantizeOptions
from mcukit.workflow.quantize import quantize
from tests.export.patch_proof import prove_memory_plan
from tests.importers.onnx_text import network

pytest.importorskip("tflite_micro", reason="the tflite-micro package is not installed")

NODES = """
    a = Conv<kernel_shape=[3,3], strides=[2,2], pads=[0,0,1,1]>(x, w1)
    r = Relu(a)
    c = Conv<kernel_shape=[3,3], strides=[2,2], pads=[0,0,1,1]>(r, w2)
    y = GlobalAveragePool(c)
"""
WEIGHTS = {"w1": (16, 3, 3, 3), "w2": (8, 16, 3, 3)}


@pytest.fixture(scope="module")
def wide_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network whose first map is by far the largest."""
    path = tmp_path_factory.mktemp("wide") / "wide.onnx"
    path.write_bytes(network("(float[1,3,64,64] x) => (float[1,8,1,1] y)", NODES, WEIGHTS))
    return path


@pytest.fixture(scope="module")
def patched(wide_model: Path) -> Build:
    return quantize(wide_model, wide_model.parent / "build", QuantizeOptions(tflite_patches=True))


def test_the_second_file_has_the_same_bytes_in_less(patched: Build) -> None:
    data = (patched.folder / "tflite" / "wide_patched.tflite").read_bytes()
    prove_memory_plan(read_tflite(data, "patched"))
    inputs = np.random.default_rng(0).integers(-128, 128, (3, 64, 64, 3)).astype(np.int8)
    np.testing.assert_array_equal(run_tflm(data, inputs)[0], run_tflm(patched.tflite(), inputs)[0], strict=True)
    plain, use = measure_arena(patched.tflite()), measure_arena(data)
    assert use.total < plain.total
    assert patched.report["tflite"]["patched"] == {
        "bytes": len(data),
        "tflm_arena_bytes": use.total,
        "tflm_head_bytes": use.head,
        "macs_redundant": patched.report["tflite"]["patched"]["macs_redundant"],
        "operators": len(read_tflite(data, "patched").main.operators),
    }
    assert 0 <= patched.report["tflite"]["patched"]["macs_redundant"] < patched.report["macs"]
    assert patched.manifest["options"]["tflite_patches"] is True


def test_arrays_and_resolver_lie_beside_it(patched: Build) -> None:
    folder = patched.folder / "tflite"
    assert (folder / "wide_patched_model_data.cc").exists()
    assert (
        str(patched.report["tflite"]["patched"]["tflm_arena_bytes"])
        in (folder / "wide_patched_model_data.h").read_text()
    )
    resolver = (folder / "wide_patched_op_resolver.h").read_text()
    assert all(method in resolver for method in ("AddSlice", "AddConcatenation", "AddConv2D"))
    assert "AddSlice" not in (folder / "wide_op_resolver.h").read_text()


def test_without_the_option_there_is_none(small: Build) -> None:
    assert small.report["tflite"]["patched"] is None
    assert not list((small.folder / "tflite").glob("*patched*"))


def test_the_command_shows_both_arenas(wide_model: Path, tmp_path: Path) -> None:
    # Through the group, as users do: click remembers the help options of the first call.
    arguments = ["quantize", str(wide_model), "--tflite-patches", "-o", str(tmp_path / "build")]
    result = CliRunner().invoke(cli, arguments, prog_name="mcukit")
    assert result.exit_code == 0, result.output
    facts = json.loads((tmp_path / "build" / "report.json").read_bytes())["tflite"]
    assert f"{facts['tflm_arena_bytes']:,} bytes" in result.output
    assert f"{facts['patched']['tflm_arena_bytes']:,} bytes" in result.output
    assert "% less" in result.output


def test_a_network_that_gains_nothing_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tiny.onnx"
    path.write_bytes(network("(float[1,2,4,4] x) => (float[1,2,4,4] y)", "y = Relu(x)"))
    with pytest.raises(McukitError, match="no tiles let TensorFlow Lite Micro") as caught:
        quantize(path, tmp_path / "build", QuantizeOptions(tflite_patches=True))
    (problem,) = caught.value.problems
    assert problem.code == "no-gain"
    assert "--tflite-patches" in problem.hint
    assert not (tmp_path / "build").exists()


def test_without_the_interpreter_the_arena_is_unknown(
    wide_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(data: bytes) -> None:
        raise McukitError("missing-package", "not installed")

    monkeypatch.setattr("mcukit.workflow.tflite_files.measure_arena", missing)
    monkeypatch.setattr("mcukit.workflow.patches.measure_arena", missing)
    monkeypatch.setattr("mcukit.export.tflite_search.measure_arena", missing)
    build = quantize(wide_model, tmp_path / "build", QuantizeOptions(tflite_patches=True))
    assert build.report["tflite"]["patched"]["tflm_arena_bytes"] is None
    assert (build.folder / "tflite" / "wide_patched.tflite").exists()
