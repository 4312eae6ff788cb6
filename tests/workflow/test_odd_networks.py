# SPDX-License-Identifier: Apache-2.0
"""Networks and plans that are out of the ordinary: vectors as input, one image, plans of other networks."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mcukit.errors import McukitError
from mcukit.precision.quantmcu import QuantmcuOptions
from mcukit.workflow.bits import BitsOptions
from mcukit.workflow.quantize import QuantizeOptions, quantize
from mcukit.workflow.verify import verify
from tests.importers.onnx_text import network

DENSE = "(float[1,16] x) => (float[1,5] y)", "y = Gemm<transB=1>(x, w, b)", {"w": (5, 16), "b": (5,)}
CONVOLUTIONS = (
    "(float[1,3,8,8] x) => (float[1,4] y)",
    """
    a = Conv<kernel_shape=[3,3], pads=[1,1,1,1]>(x, w1, b1)
    r = Relu(a)
    p = GlobalAveragePool(r)
    f = Flatten(p)
    y = Gemm<transB=1>(f, w2, b2)
    """,
    {"w1": (8, 3, 3, 3), "b1": (8,), "w2": (4, 8), "b2": (4,)},
)

EARLY_OUTPUT = (
    "(float[1,3,24,24] x) => (float[1,8,12,12] r, float[1,4] y)",
    """
    a = Conv<kernel_shape=[3,3], strides=[2,2], pads=[1,1,1,1]>(x, w1, b1)
    r = Relu(a)
    c = Conv<kernel_shape=[3,3], pads=[1,1,1,1]>(r, w2, b2)
    s = Relu(c)
    d = Conv<kernel_shape=[3,3], strides=[2,2], pads=[1,1,1,1]>(s, w3, b3)
    p = GlobalAveragePool(d)
    f = Flatten(p)
    y = Gemm<transB=1>(f, w4, b4)
    """,
    {"w1": (8, 3, 3, 3), "w2": (16, 8, 3, 3), "w3": (8, 16, 3, 3), "w4": (4, 8)}
    | {"b1": (8,), "b2": (16,), "b3": (8,), "b4": (4,)},
)
"""The first map is an output, and the next layer reads it with a halo: its tiles would write over each other."""


def saved(folder: Path, parts: tuple, values: np.ndarray) -> Path:
    (folder / "net.onnx").write_bytes(network(*parts))
    np.savez(folder / "calibration.npz", x=values.astype(np.float32))
    return folder / "net.onnx"


@pytest.mark.parametrize("bits", [None, BitsOptions(max_error=1.0)], ids=["int8", "auto"])
def test_an_input_may_be_a_vector(bits: BitsOptions | None, tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(20, 1, 1, 16))
    build = quantize(saved(tmp_path, DENSE, values), tmp_path / "build", QuantizeOptions(bits=bits))
    for on in ("plan", "host", "tflm"):
        assert verify(build, on).equal


@pytest.mark.parametrize("values", [np.full((1, 8, 8, 3), 0.3), np.full((9, 8, 8, 3), -0.7)], ids=["one", "constant"])
def test_images_that_do_not_vary_make_no_noise(values: np.ndarray, tmp_path: Path) -> None:
    """Warnings are errors in tests."""
    options = QuantizeOptions(bits=BitsOptions(max_error=1.0))
    build = quantize(saved(tmp_path, CONVOLUTIONS, values), tmp_path / "build", options)
    assert verify(build, "host").equal


def test_bits_of_a_map_that_the_network_lacks(tmp_path: Path) -> None:
    model = saved(tmp_path, CONVOLUTIONS, np.random.default_rng(0).normal(size=(9, 8, 8, 3)))
    content = json.loads((quantize(model, tmp_path / "first").folder / "plan.json").read_text())
    plan = tmp_path / "plan.json"
    stages = {"schema": content["schema"], "stages": content["stages"]}
    plan.write_text(json.dumps({**stages, "bits": [{"map": "nosuch", "bits": 4}, {"map": "r", "bits": 4}]}))
    with pytest.raises(McukitError) as caught:
        quantize(model, tmp_path / "second", QuantizeOptions(plan=plan))
    assert [problem.where for problem in caught.value.problems] == ["map 'nosuch'"]
    assert not (tmp_path / "second").exists()


@pytest.mark.parametrize("sram", [None, 4_500], ids=["no budget", "budget"])
def test_patches_of_two_precisions_end_where_none_writes_over_another(sram: int | None, tmp_path: Path) -> None:
    model = saved(tmp_path, EARLY_OUTPUT, np.random.default_rng(0).normal(size=(20, 24, 24, 3)))
    bits = BitsOptions(search="vdqs", quantmcu=QuantmcuOptions(entropy_weight=0.0, layer_stage=True))
    build = quantize(model, tmp_path / "build", QuantizeOptions(bits=bits, sram=sram))
    assert build.model.branches is not None
    assert verify(build, "plan").equal


def test_a_network_without_patches_is_none_for_vdqs(tmp_path: Path) -> None:
    model = saved(tmp_path, DENSE, np.random.default_rng(0).normal(size=(20, 1, 1, 16)))
    with pytest.raises(McukitError, match="can't run in patches") as caught:
        quantize(model, tmp_path / "build", QuantizeOptions(bits=BitsOptions(search="vdqs")))
    (problem,) = caught.value.problems
    assert (problem.code, problem.where) == ("bad-stage", "--search")
    assert "--search sensitivity" in problem.hint
    assert not (tmp_path / "build").exists()
