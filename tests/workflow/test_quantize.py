# SPDX-License-Identifier: Apache-2.0
"""quantize as a whole: what it refuses, what it marks, and small networks all the way through."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from mcukit.errors import McukitError
from mcukit.workflow.build import Build
from mcukit.workflow.emulate import emulate
from mcukit.workflow.quantize import QuantizeOptions, quantize
from mcukit.workflow.verify import random_inputs, verify
from tests.importers.onnx_text import network


def problem_of(model: Path, options: QuantizeOptions, output: Path) -> McukitError:
    """The refusal; nothing may have been written."""
    with pytest.raises(McukitError) as caught:
        quantize(model, output, options)
    assert not output.exists()
    return caught.value


def test_a_budget_that_is_exceeded_names_operator_and_bytes(small_model: Path, tmp_path: Path) -> None:
    error = problem_of(small_model, QuantizeOptions(sram=100), tmp_path / "build")
    (problem,) = error.problems
    assert problem.code == "budget-exceeded"
    found = re.fullmatch(
        r"the smallest plan .* needs ([\d,]+) bytes of SRAM and the budget is 100: ([\d,]+) bytes too many",
        problem.message,
    )
    assert found
    needed = int(found[1].replace(",", ""))
    assert int(found[2].replace(",", "")) == needed - 100
    assert "conv2d" in problem.where
    assert f"a budget of {needed:,} bytes would do" in problem.hint
    assert quantize(small_model, tmp_path / "fits", QuantizeOptions(sram=needed)).plan.arena_bytes <= needed
    tighter = problem_of(small_model, QuantizeOptions(sram=needed - 1), tmp_path / "build")
    assert tighter.problems[0].code == problem.code


def test_flash_has_a_budget_too(small: Build, small_model: Path, tmp_path: Path) -> None:
    weights = small.model.weight_bytes
    error = problem_of(small_model, QuantizeOptions(flash=weights - 1), tmp_path / "build")
    assert f"{weights:,} bytes of flash" in str(error)


def test_a_build_without_data_is_marked(small: Build) -> None:
    assert not small.calibrated
    assert small.manifest["calibrated"] is False
    assert json.loads((small.folder / "report.json").read_bytes())["calibrated"] is False
    assert small.manifest["calibration"] is None


def test_a_build_with_data_is_not(small_model: Path, tmp_path: Path) -> None:
    values = np.random.default_rng(0).random((4, 6, 6, 2)).astype(np.float32)
    np.savez(tmp_path / "data.npz", x=values)
    build = quantize(small_model, tmp_path / "build", QuantizeOptions(calibration=tmp_path / "data.npz"))
    assert build.calibrated
    assert build.manifest["calibration"]["name"] == "data.npz"


def test_calibration_data_of_another_shape_are_refused(small_model: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", x=np.zeros((4, 6, 6, 3), np.float32))
    error = problem_of(small_model, QuantizeOptions(calibration=tmp_path / "data.npz"), tmp_path / "build")
    assert "6, 6, 3" in str(error) or "6 x 6 x 3" in str(error)


def test_an_unknown_range_method_is_a_usage_error(small_model: Path, tmp_path: Path) -> None:
    error = problem_of(small_model, QuantizeOptions(ranges="magic"), tmp_path / "build")
    assert error.exit_code == 2
    assert "magic" in str(error)
    assert "mse" in error.problems[0].hint


def test_a_missing_model_is_one_message(tmp_path: Path) -> None:
    error = problem_of(tmp_path / "missing.onnx", QuantizeOptions(), tmp_path / "build")
    assert [problem.code for problem in error.problems] == ["no-such-file"]


def test_two_outputs_go_all_the_way(small: Build) -> None:
    assert [tensor.elements for tensor in small.model.outputs] == [7, 20]
    header = (small.folder / "model" / "net.h").read_text()
    assert "net_output(void)" in header
    assert "net_output_1(void)" in header
    assert verify(small, "host").equal


@pytest.mark.parametrize(("operator", "name"), [("Relu", "relu"), ("Sigmoid", "*_"), ("Tanh", "model")])
def test_a_network_of_one_operator(operator: str, name: str, tmp_path: Path) -> None:
    path = tmp_path / f"{name}.onnx"
    path.write_bytes(network("(float[1,2,4,4] x) => (float[1,2,4,4] y)", f"y = {operator}(x)"))
    result = verify(quantize(path, tmp_path / "build"), "host")
    assert result.equal
    assert result.layers_compared == 1


def test_a_network_that_computes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "view.onnx"
    path.write_bytes(network("(float[1,1,4,4] x) => (float[1,16] y)", "y = Flatten(x)"))
    build = quantize(path, tmp_path / "build", QuantizeOptions(board="nucleo_f446re"))
    inputs = random_inputs(build, 2)
    assert build.c_sources().layers == 0
    np.testing.assert_array_equal(emulate(build, "cortex-m4", inputs).outputs, inputs, strict=True)
