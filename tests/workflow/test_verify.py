# SPDX-License-Identifier: Apache-2.0
"""A verification must be able to fail, and then say where."""

from __future__ import annotations

import dataclasses
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from mcukit.emulation.reference import run_reference
from mcukit.errors import McukitError
from mcukit.workflow.build import Build
from mcukit.workflow.emulate import emulate
from mcukit.workflow.execute import execute
from mcukit.workflow.verify import random_inputs, verify


@pytest.fixture(scope="module")
def broken(small: Build, tmp_path_factory: pytest.TempPathFactory) -> Build:
    """The build with another bias in the C of its second convolution: output channel 3 is wrong everywhere."""
    folder = Path(shutil.copytree(small.folder, tmp_path_factory.mktemp("broken") / "build"))
    weights = folder / "model" / "net_weights.c"
    text = weights.read_text()
    match = re.search(r"net_conv_c_bias\[5\] = \{\n    ([^}]*?),\n\}", text)
    assert match is not None
    biases = [int(word) for word in match[1].split(",")]
    biases[3] += 1 << 12
    weights.write_text(text[: match.start(1)] + ", ".join(map(str, biases)) + text[match.end(1) :])
    return dataclasses.replace(small, folder=folder)


@pytest.mark.parametrize("target", ["host", "tflm", "litert"])
def test_equal_bytes_are_found_equal(target: str, small: Build) -> None:
    if target != "host":
        pytest.importorskip({"tflm": "tflite_micro", "litert": "ai_edge_litert"}[target])
    result = verify(small, target)
    assert result.equal
    assert result.first_difference is None
    assert (result.target, result.inputs) == (target, 4)
    assert result.layers_compared >= 3


def test_the_first_difference_is_named(small: Build, broken: Build) -> None:
    inputs = random_inputs(small)
    result = verify(broken, "host", inputs)
    assert not result.equal
    found = result.first_difference
    assert found is not None
    layer = next(layer for layer in small.model.layers if layer.output == small.model.graph.outputs[1])
    reference = run_reference(small.model, inputs).outputs[1]
    candidate = execute(broken, "host", inputs, maps=True).maps[layer.output]
    wrong = np.argwhere(reference != candidate)
    assert set(wrong[:, 3]) == {3}, "only the channel with the changed bias differs"
    assert found.layer == layer.name
    assert (found.input, found.row, found.column, found.channel) == tuple(wrong[0])
    assert found.expected == reference[tuple(wrong[0])]
    assert found.found == candidate[tuple(wrong[0])]


def test_a_change_in_the_last_layer_is_found_too(small: Build, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(small.folder, tmp_path / "build"))
    code = folder / "model" / "net.c"
    text = code.read_text()
    last = text.rindex(".output_zero_point = ")
    code.write_text(
        re.sub(
            r"= (-?\d+)", lambda m: f"= {int(m[1]) + 1 if int(m[1]) < 0 else int(m[1]) - 1}", text[last:], count=1
        ).join([text[:last], ""])
    )
    result = verify(dataclasses.replace(small, folder=folder), "host")
    assert result.first_difference is not None
    assert result.first_difference.layer == small.model.layers[-1].name


@pytest.mark.parametrize(
    "inputs", [np.zeros((0, 72), np.int8), np.zeros((1, 71), np.int8), np.zeros((1, 72), np.uint8)]
)
def test_inputs_that_prove_nothing_are_refused(inputs: np.ndarray, small: Build) -> None:
    with pytest.raises(McukitError):
        verify(small, "host", inputs)


def test_an_unknown_target_is_a_usage_error(small: Build) -> None:
    with pytest.raises(McukitError, match="cortex-m4") as caught:
        verify(small, "cortex-m5")
    assert caught.value.exit_code == 2


def test_emulation_brings_back_every_output(small: Build) -> None:
    inputs = random_inputs(small, 2)
    run, expected = emulate(small, "host", inputs), run_reference(small.model, inputs.reshape(2, 6, 6, 2)).outputs
    assert list(run.all_outputs) == [tensor.name for tensor in small.model.outputs] == ["y", "c"]
    for found, output in zip(run.all_outputs.values(), expected, strict=True):
        np.testing.assert_array_equal(found, output.reshape(2, -1), strict=True)
    np.testing.assert_array_equal(run.outputs, run.all_outputs["y"], strict=True)
    assert not emulate(small, "host", inputs, all_outputs=False).all_outputs
