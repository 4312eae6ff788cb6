# SPDX-License-Identifier: Apache-2.0
"""Real networks: every executor computes the reference's bytes, and int8 is as accurate as it should be."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest

from mcukit.calibration.float_model import FloatModel
from mcukit.demo import demo_model_path
from mcukit.tflite.litert import run_litert_reference
from mcukit.tflite.micro import run_tflm
from mcukit.tflite.reader import read_tflite
from mcukit.workflow.emulate import emulate
from mcukit.workflow.evaluate import evaluate
from mcukit.workflow.verify import verify
from tests.networks.conftest import MODELS, Prepared, networks

each_network = pytest.mark.parametrize("prepared", networks(), indirect=True)


@each_network
@pytest.mark.parametrize("target", ["host", "cortex-m4", "cortex-m7", "riscv32", "tflm"])
def test_every_map_equals_the_reference(prepared: Prepared, target: str) -> None:
    quick = target in {"host", "tflm"}
    if prepared.sample is not None and target not in prepared.sample.executors:
        pytest.skip("it takes minutes: --every-input runs it")
    inputs = prepared.inputs if quick else prepared.emulated
    result = verify(prepared.build, target, inputs)
    assert result.equal, result.first_difference
    assert result.inputs == len(inputs) > 0
    assert result.layers_compared >= len(prepared.build.model.steps)


@each_network
def test_maps_equal_litert_up_to_the_first_fully_connected_layer(prepared: Prepared) -> None:
    result = verify(prepared.build, "litert", prepared.inputs)
    names = [layer.node.operator.op_name for layer in prepared.build.model.layers]
    before = names.index("fully_connected") if "fully_connected" in names else len(names)
    assert result.equal, result.first_difference
    assert result.layers_compared >= before > 10


@pytest.mark.parametrize("prepared", networks(quantized=True), indirect=True)
def test_imported_int8_file_gives_the_bytes_of_that_file(prepared: Prepared) -> None:
    original = (MODELS / prepared.network.file).read_bytes()
    fed = prepared.inputs.reshape(-1, *prepared.build.model.input.shape[1:])
    expected = run_tflm(original, fed)[0]
    ours = emulate(prepared.build, "host", prepared.inputs).outputs
    np.testing.assert_array_equal(expected.reshape(ours.shape), ours, strict=True)


@each_network
def test_accuracy_is_near_float(prepared: Prepared) -> None:
    result = evaluate(prepared.build, prepared.evaluation, "host")
    assert result.n == len(prepared.evaluation)
    if prepared.points is None:
        assert result.float_top1 is None
        assert result.top1 > 84.0
    else:
        assert result.float_top1 is not None
        assert result.float_top1 - result.top1 <= prepared.points, result


@each_network
def test_report_and_emulator_agree_on_sizes(prepared: Prepared) -> None:
    run = emulate(prepared.build, "cortex-m4", prepared.inputs[:1])
    assert run.arena_bytes == prepared.build.report["arena_bytes"]
    assert run.weight_bytes is not None
    # Arrays start on words: each may be followed by up to three bytes.
    assert 0 <= run.weight_bytes - prepared.build.report["weight_bytes"] < 4 * 8 * len(run.layers)
    assert sum(layer.instructions for layer in run.layers) <= (run.instructions or 0) * 1.01
    assert len(run.layers) == prepared.build.c_sources().layers


@pytest.mark.parametrize("prepared", networks(quantized=False), indirect=True)
def test_the_imported_float_network_is_the_original(prepared: Prepared) -> None:
    path = MODELS / prepared.network.file if prepared.network.file else demo_model_path()
    real = prepared.build.real_inputs(prepared.evaluation.values[:4])
    graph = prepared.build.float_graph()
    assert graph is not None
    ours = FloatModel(graph).outputs(real)[0].reshape(len(real), -1)
    if path.suffix == ".onnx":
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        (described,) = session.get_inputs()
        wanted = real.transpose(0, 3, 1, 2) if described.shape[1] == 3 else real
        original = np.concatenate([session.run(None, {described.name: image[None]})[0] for image in wanted])
    else:
        data = path.read_bytes()
        output = read_tflite(data, path.name).main.outputs[0]
        original = run_litert_reference(data, real)[output]
    # Floating point: the order of additions differs, so that this is no comparison of bytes.
    np.testing.assert_allclose(ours, original.reshape(len(real), -1), rtol=1e-3, atol=1e-4)
