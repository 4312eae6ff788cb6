# SPDX-License-Identifier: Apache-2.0
"""Files of ours in the real interpreters: what they accept, and that both compute the same bytes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mcukit.errors import McukitError
from mcukit.tflite import _worker, litert, micro, process
from mcukit.tflite import options as o
from mcukit.tflite.enums import BuiltinOperator as B
from mcukit.tflite.enums import Padding, TensorType
from mcukit.tflite.litert import run_litert_reference
from mcukit.tflite.micro import measure_arena, run_tflm, run_tflm_tensors, smallest_arena
from mcukit.tflite.reader import read_tflite
from mcukit.tflite.schema import ABSENT, Model
from mcukit.tflite.schema import QuantizationParameters as Affine
from mcukit.tflite.versions import INT8_VERSIONS, int8_code
from mcukit.tflite.writer import write_tflite

if TYPE_CHECKING:
    from conftest import ModelBuilder

pytest.importorskip("tflite_micro")
pytest.importorskip("ai_edge_litert")

IMAGE = (1, 6, 5, 4)
IN = Affine((0.05,), (3,))
SAMPLES = 16

Inputs = NDArray[np.int8]
Branch = Callable[
    ["ModelBuilder", int, int], tuple[B | Any, list[int], tuple[int, ...], Affine | None, o.Options | None]
]
"""Given (builder, image, row): an operator's code, inputs, output shape, output quantization and options."""


def int8s(*shape: int) -> NDArray[np.int8]:
    return np.random.default_rng(len(shape)).integers(-127, 128, shape).astype(np.int8)


def int32s(*values: int) -> NDArray[np.int32]:
    return np.array(values, np.int32)


def per_channel(channels: int, axis: int) -> tuple[Affine, Affine]:
    """Quantization of weights along `axis` and of the bias that goes with them."""
    scales = tuple(0.001 * (1 + channel) for channel in range(channels))
    zeros = (0,) * channels
    return Affine(scales, zeros, axis), Affine(tuple(0.05 * scale for scale in scales), zeros, 0)


def weights(b: ModelBuilder, shape: tuple[int, ...], channels: int, axis: int) -> list[int]:
    """The indices of weights and bias with a scale per channel."""
    weight, bias = per_channel(channels, axis)
    return [b.constant(int8s(*shape), weight), b.constant(int32s(*range(0, 900 * channels, 900)), bias)]


PADDING = int32s(0, 0, 1, 1, 2, 0, 0, 0).reshape(4, 2)
OUT = Affine((0.3,), (-7,))
UNIT = Affine((1 / 256,), (-128,))
HALF = Affine((1 / 128,), (0,))

BRANCHES: dict[str, Branch] = {
    "conv": lambda b, x, r: (
        B.CONV_2D, [x, *weights(b, (6, 3, 3, 4), 6, 0)], (1, 6, 5, 6), OUT, o.Conv2DOptions()
    ),
    "conv, stride 2, dilation 2": lambda b, x, r: (
        B.CONV_2D,
        [x, *weights(b, (6, 2, 2, 4), 6, 0)],
        (1, 2, 2, 6),
        OUT,
        o.Conv2DOptions(Padding.VALID, 2, 2, dilation_w=2, dilation_h=2),
    ),
    "conv, two groups": lambda b, x, r: (
        B.CONV_2D, [x, *weights(b, (6, 3, 3, 2), 6, 0)], (1, 6, 5, 6), OUT, o.Conv2DOptions()
    ),
    "depthwise": lambda b, x, r: (
        B.DEPTHWISE_CONV_2D, [x, *weights(b, (1, 3, 3, 4), 4, 3)], IMAGE, OUT, o.DepthwiseConv2DOptions()
    ),
    "depthwise, multiplier 2": lambda b, x, r: (
        B.DEPTHWISE_CONV_2D,
        [x, *weights(b, (1, 3, 3, 8), 8, 3)],
        (1, 6, 5, 8),
        OUT,
        o.DepthwiseConv2DOptions(depth_multiplier=2),
    ),
    "fully connected": lambda b, x, r: (
        B.FULLY_CONNECTED,
        [r, b.constant(int8s(3, 120), Affine((0.002,), (0,))), ABSENT],
        (1, 3),
        OUT,
        o.FullyConnectedOptions(),
    ),
    "fully connected per channel": lambda b, x, r: (
        int8_code(B.FULLY_CONNECTED, per_channel_fully_connected=True),
        [r, *weights(b, (3, 120), 3, 0)],
        (1, 3),
        OUT,
        o.FullyConnectedOptions(),
    ),
    "pad": lambda b, x, r: (B.PAD, [x, b.constant(PADDING)], (1, 8, 7, 4), IN, o.PadOptions()),
    "padv2": lambda b, x, r: (
        B.PADV2,
        [x, b.constant(PADDING), b.constant(np.array([-128], np.int8), IN)],
        (1, 8, 7, 4),
        IN,
        o.PadV2Options(),
    ),
    "nearest": lambda b, x, r: (
        B.RESIZE_NEAREST_NEIGHBOR,
        [x, b.constant(int32s(12, 10))],
        (1, 12, 10, 4),
        IN,
        o.ResizeNearestNeighborOptions(),
    ),
    "bilinear": lambda b, x, r: (
        B.RESIZE_BILINEAR, [x, b.constant(int32s(12, 10))], (1, 12, 10, 4), IN, o.ResizeBilinearOptions()
    ),
    "mean": lambda b, x, r: (
        B.MEAN, [x, b.constant(int32s(1, 2))], (1, 4), Affine((0.03,), (-5,)), o.ReducerOptions()
    ),
    "mean, kept": lambda b, x, r: (
        B.MEAN, [x, b.constant(int32s(1, 2))], (1, 1, 1, 4), IN, o.ReducerOptions(keep_dims=True)
    ),
    "leaky relu": lambda b, x, r: (B.LEAKY_RELU, [x], IMAGE, Affine((0.04,), (-9,)), o.LeakyReluOptions(0.1)),
    "hard swish": lambda b, x, r: (B.HARD_SWISH, [x], IMAGE, Affine((0.04,), (-9,)), o.HardSwishOptions()),
    "relu": lambda b, x, r: (B.RELU, [x], IMAGE, Affine((0.04,), (-9,)), None),
    "relu6": lambda b, x, r: (B.RELU6, [x], IMAGE, IN, None),
    "tanh": lambda b, x, r: (B.TANH, [x], IMAGE, HALF, None),
    "logistic": lambda b, x, r: (B.LOGISTIC, [x], IMAGE, UNIT, None),
    "softmax": lambda b, x, r: (B.SOFTMAX, [r], (1, 120), UNIT, o.SoftmaxOptions()),
    "quantize": lambda b, x, r: (B.QUANTIZE, [x], IMAGE, Affine((0.04,), (-9,)), o.QuantizeOptions()),
    "max pool": lambda b, x, r: (
        B.MAX_POOL_2D, [x], (1, 3, 3, 4), IN, o.Pool2DOptions(stride_w=2, stride_h=2, filter_w=3, filter_h=3)
    ),
    "average pool": lambda b, x, r: (
        B.AVERAGE_POOL_2D, [x], (1, 3, 3, 4), IN, o.Pool2DOptions(stride_w=2, stride_h=2, filter_w=3,
        filter_h=3)
    ),
    "concatenation": lambda b, x, r: (
        B.CONCATENATION,
        [x, b.constant(int8s(1, 6, 5, 2), IN)],
        (1, 6, 5, 6),
        IN,
        o.ConcatenationOptions(axis=3),
    ),
    "reshape": lambda b, x, r: (
        B.RESHAPE, [x, b.constant(int32s(1, 30, 4))], (1, 30, 4), IN, o.ReshapeOptions((1, 30, 4))
    ),
    "expand dims": lambda b, x, r: (
        B.EXPAND_DIMS, [r, b.constant(int32s(1))], (1, 1, 120), IN, o.ExpandDimsOptions()
    ),
    "squeeze": lambda b, x, r: (B.SQUEEZE, [r], (120,), IN, o.SqueezeOptions((0,))),
    "transpose": lambda b, x, r: (
        B.TRANSPOSE, [x, b.constant(int32s(0, 3, 1, 2))], (1, 4, 6, 5), IN, o.TransposeOptions()
    ),
    "slice": lambda b, x, r: (
        B.SLICE,
        [x, b.constant(int32s(0, 1, 1, 0)), b.constant(int32s(1, 2, 3, 4))],
        (1, 2, 3, 4),
        IN,
        o.SliceOptions(),
    ),
    "strided slice": lambda b, x, r: (
        B.STRIDED_SLICE,
        [x, *(b.constant(int32s(*v)) for v in ((0, 1, 1, 0), (1, 5, 5, 4), (1, 2, 2, 1)))],
        (1, 2, 2, 4),
        IN,
        o.StridedSliceOptions(),
    ),
}  # fmt: skip

BINARY: dict[B, o.Options] = {
    B.ADD: o.AddOptions(),
    B.SUB: o.SubOptions(),
    B.MUL: o.MulOptions(),
    B.MAXIMUM: o.MaximumMinimumOptions(),
    B.MINIMUM: o.MaximumMinimumOptions(),
}
OPERAND_SHAPES = [IMAGE, (1, 1, 1, 4), (4,), (1, 1, 1, 1)]


@pytest.fixture(scope="module")
def all_operators(new_builder: Callable[[], ModelBuilder]) -> tuple[Model, list[str]]:
    """A model in which every operator has its own branch from input to output, and the branches' names."""
    b = new_builder()
    image = b.computed(IMAGE, IN)
    row = b.computed((1, 120), IN)
    b.operator(B.RESHAPE, [image, b.constant(int32s(1, 120))], [row], o.ReshapeOptions((1, 120)))
    outputs = []
    for branch in BRANCHES.values():
        code, inputs, shape, affine, options = branch(b, image, row)
        outputs.append(b.computed(shape, affine))
        b.operator(code, inputs, outputs[-1:], options)
    for builtin, options in BINARY.items():
        scaled = builtin in (B.ADD, B.SUB, B.MUL)
        for shape in OPERAND_SHAPES:
            operand = b.constant(int8s(*shape), Affine((0.02,), (0,)) if scaled else IN)
            outputs.append(b.computed(IMAGE, Affine((0.09,), (5,)) if scaled else IN))
            b.operator(builtin, [image, operand], outputs[-1:], options)
    halves = [b.computed((1, 6, 5, 2), IN) for _ in range(2)]
    b.operator(B.SPLIT, [b.constant(int32s(3)), image], halves, o.SplitOptions(2))
    real = b.computed(IMAGE, None, TensorType.FLOAT32)
    b.operator(B.DEQUANTIZE, [image], [real], o.DequantizeOptions())
    names = [
        *BRANCHES,
        *(f"{op.name} {shape}" for op in BINARY for shape in OPERAND_SHAPES),
        "split",
        "split",
    ]
    return b.build([image], [*outputs, *halves, real]), [*names, "dequantize"]


@pytest.fixture(scope="module")
def images() -> Inputs:
    return np.random.default_rng(5).integers(-128, 128, (SAMPLES, *IMAGE[1:])).astype(np.int8)


@pytest.fixture(scope="module")
def computed(
    all_operators: tuple[Model, list[str]], images: Inputs
) -> tuple[tuple[process.Array, ...], dict[int, process.Array]]:
    data = write_tflite(all_operators[0])
    return run_tflm(data, images), run_litert_reference(data, images)


def test_both_interpreters_compute_the_same_bytes(
    all_operators: tuple[Model, list[str]],
    computed: tuple[tuple[process.Array, ...], dict[int, process.Array]],
) -> None:
    model, names = all_operators
    tflm, reference = computed
    assert len(tflm) == len(names)
    for name, index, values in zip(names, model.main.outputs, tflm, strict=True):
        tensor = model.main.tensors[index]
        batched = tensor.shape[1:] if tensor.shape[0] == 1 else tensor.shape
        assert values.shape == (SAMPLES, *batched), name
        assert values.dtype == tensor.type.dtype == reference[index].dtype, name
        if not name.startswith("fully connected"):  # which they round differently
            assert np.array_equal(values, reference[index]), name
        assert len(np.unique(values)) > 3, name


def test_every_version_is_accepted(all_operators: tuple[Model, list[str]]) -> None:
    """RELU_N1_TO_1 stands in the schema, but TFLite Micro has no kernel for it."""
    assert {code.builtin for code in all_operators[0].operator_codes} == set(INT8_VERSIONS) - {B.RELU_N1_TO_1}


@pytest.mark.parametrize("name", ["fully connected per channel", "conv, two groups"])
def test_arithmetic_uses_channels_and_groups(
    name: str,
    all_operators: tuple[Model, list[str]],
    images: Inputs,
    computed: tuple[tuple[process.Array, ...], dict[int, process.Array]],
) -> None:
    """The result is that of real arithmetic to the last unit, and far off with one scale for all channels."""
    model, names = all_operators
    position = names.index(name)
    operator = next(op for op in model.main.operators if op.outputs == (model.main.outputs[position],))
    filters, bias = (model.constant(index) for index in operator.inputs[1:])
    quantization = model.main.tensors[operator.inputs[1]].quantization
    assert filters is not None
    assert bias is not None
    assert quantization is not None
    real_images = (images.astype(np.float64) - 3) * 0.05
    sums = _row_sums(real_images, filters) if filters.ndim == 2 else _grouped_sums(real_images, filters)
    scales = np.array(quantization.scale)
    real = (sums + 0.05 * bias.astype(np.float64)) * scales
    expected = np.clip(np.round(real / 0.3) - 7, -128, 127)
    result = computed[0][position].astype(np.float64)
    assert np.abs(result - expected).max() <= 1
    assert (result == expected).mean() > 0.99
    with_first_scale = np.clip(np.round(real / scales * scales[0] / 0.3) - 7, -128, 127)
    assert np.abs(result - with_first_scale).max() > 10


def _row_sums(images: NDArray[np.float64], filters: NDArray[Any]) -> NDArray[np.float64]:
    sums: NDArray[np.float64] = images.reshape(SAMPLES, -1) @ filters.T.astype(np.float64)
    return sums


def _grouped_sums(images: NDArray[np.float64], filters: NDArray[Any]) -> NDArray[np.float64]:
    """3x3 windows with padding 1; 6 output channels in 2 groups of 2 input channels each."""
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (1, 2))
    groups = [windows[:, :, :, 2 * (channel // 3) : 2 * (channel // 3) + 2] for channel in range(6)]
    per_filter = [np.einsum("nyxchw,hwc->nyx", group, filters[channel]) for channel, group in enumerate(groups)]
    return np.stack(per_filter, axis=-1)


def before_fully_connected(model: Model) -> list[int]:
    """The tensors on which both interpreters agree: they round fully connected layers differently."""
    differing: set[int] = set()
    for operator in model.main.operators:
        if operator.builtin is B.FULLY_CONNECTED or differing & set(operator.inputs):
            differing |= set(operator.outputs)
    return [index for index in model.computed_tensors if index not in differing]


@pytest.mark.parametrize("name", ["vww/vww_96_int8.tflite", "resnet8/resnet8_int8.tflite"])
def test_real_models(name: str, real_models: Path) -> None:
    """A file written by us behaves like the one read, and TFLM equals LiteRT up to the classifier."""
    data = (real_models / name).read_bytes()
    with np.load((real_models / name).parent / "evaluation.npz") as evaluation:
        images = (evaluation["x"][:4].astype(np.int16) - 128).astype(np.int8)
    model = read_tflite(data, name)
    written = write_tflite(model)
    assert written != data
    tensors, reference = run_tflm_tensors(data, images), run_litert_reference(data, images)
    assert list(tensors) == list(reference) == list(model.computed_tensors)
    for values, others in (
        (tensors, run_tflm_tensors(written, images)),
        (reference, run_litert_reference(written, images)),
    ):
        assert all(np.array_equal(others[index], values[index]) for index in values)
    agreeing = before_fully_connected(model)
    assert len(agreeing) == len(tensors) - 2
    assert all(np.array_equal(reference[index], tensors[index]) for index in agreeing)
    for file in (data, written):
        assert np.array_equal(run_tflm(file, images)[0], tensors[model.main.outputs[0]])


@pytest.mark.parametrize("kind", ["small", "all operators"])
def test_arena(
    kind: str, small_model: Model, all_operators: tuple[Model, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = small_model if kind == "small" else all_operators[0]
    data, image = write_tflite(model), np.zeros(model.main.tensors[0].shape, np.int8)
    use, smallest = measure_arena(data), smallest_arena(data)
    assert use.total == use.head + use.tail
    assert use.total <= smallest < use.total + 4096
    assert use == measure_arena(data)
    outputs = run_tflm(data, image)
    monkeypatch.setattr(micro, "_LARGEST_ARENA_BYTES", smallest)
    assert all(map(np.array_equal, run_tflm(data, image, arena_bytes=smallest), outputs))
    monkeypatch.setattr(micro, "_LARGEST_ARENA_BYTES", smallest - 16)
    with pytest.raises(McukitError) as caught:
        run_tflm(data, image, arena_bytes=smallest - 16)
    assert caught.value.problems[0].code in ("interpreter-failed", "interpreter-crashed")


@pytest.mark.parametrize("arena_bytes", [16, 1024, 1232])
def test_arena_grows(arena_bytes: int, small_model: Model) -> None:
    """TFLM sometimes says that an arena is too small, and sometimes crashes."""
    images = np.arange(20, dtype=np.int8).reshape(1, 4, 5, 1)
    data = write_tflite(small_model)
    assert np.array_equal(run_tflm(data, images, arena_bytes=arena_bytes)[0], run_tflm(data, images)[0])


@pytest.mark.parametrize("arena_bytes", [-1, 0, 1 << 40])
def test_impossible_arenas(arena_bytes: int, small_model: Model) -> None:
    with pytest.raises(McukitError, match=f"can't have {arena_bytes} bytes"):
        run_tflm(write_tflite(small_model), np.zeros((1, 4, 5, 1), np.int8), arena_bytes=arena_bytes)


def test_selected_tensors(small_model: Model) -> None:
    data = write_tflite(small_model)
    images = np.arange(40, dtype=np.int8).reshape(2, 4, 5, 1)
    tensors = run_tflm_tensors(data, images, tensors=[0, 2])
    assert np.array_equal(tensors[0], images)
    assert np.array_equal(tensors[2], run_tflm(data, images)[0])
    with pytest.raises(McukitError, match="there is no tensor 3"):
        run_tflm_tensors(data, images, tensors=[3])


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((1, 4, 5, 1), np.uint8), "the inputs are uint8"),
        (np.zeros((1, 5, 4, 1), np.int8), r"the inputs are int8 \[1, 5, 4, 1\]"),
        (np.zeros((4, 5, 1), np.int8), r"the inputs are int8 \[4, 5, 1\]"),
        (np.int8(0).reshape(()), r"the inputs are int8 \[\]"),
        (np.zeros((0, 4, 5, 1), np.int8), r"the inputs are int8 \[0, 4, 5, 1\]"),
    ],
)
def test_inputs_that_do_not_fit(images: process.Array, message: str, small_model: Model) -> None:
    with pytest.raises(McukitError, match=message) as caught:
        run_tflm(write_tflite(small_model), images)
    assert "INT8 [N, 4, 5, 1]" in caught.value.problems[0].hint


def test_models_that_cannot_be_fed(small_model: Model) -> None:
    images = np.zeros((1, 4, 5, 1), np.int8)
    image, *others = small_model.main.tensors
    two = dataclasses.replace(small_model.main, inputs=(0, 1))
    batch = dataclasses.replace(small_model.main, tensors=(dataclasses.replace(image, shape=(2, 4, 5, 1)), *others))
    for graph, message in ((two, "has 2 inputs"), (batch, "the batch, has to be 1")):
        with pytest.raises(McukitError, match=message):
            run_tflm(write_tflite(dataclasses.replace(small_model, subgraphs=(graph,))), images)


def test_an_operator_that_tflm_lacks(new_builder: Callable[[], ModelBuilder]) -> None:
    b = new_builder()
    image, output = b.computed(IMAGE, IN), b.computed(IMAGE, IN)
    b.operator(B.RELU_N1_TO_1, [image], [output])
    with pytest.raises(McukitError, match="Didn't find op for builtin opcode 'RELU_N1_TO_1'") as caught:
        run_tflm(write_tflite(b.build([image], [output])), np.zeros(IMAGE, np.int8))
    assert caught.value.problems[0].code == "interpreter-failed"
    assert "Traceback" not in str(caught.value)


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("import os; os.abort()", r"crashed \(signal 6\)"),
        ("while True: pass", "took more than 1 seconds"),
        ("pass", "refused the model"),
    ],
)
def test_crashes_stay_in_their_process(
    script: str, message: str, small_model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in = tmp_path / "worker.py"
    stand_in.write_text(script)
    monkeypatch.setattr("mcukit.tflite._worker.__file__", str(stand_in))
    for run in (run_tflm, run_litert_reference):
        with pytest.raises(McukitError, match=message):
            run(write_tflite(small_model), np.zeros((1, 4, 5, 1), np.int8), timeout=1.0)


@pytest.mark.parametrize(
    ("trouble", "message", "timeout"),
    [
        ("os.abort()", r"crashed \(signal 6\)", 60.0),
        ("while True: pass", "took more than 1 seconds", 1.0),
        ("raise MemoryError('no more')", "refused the model; it said:\nMemoryError: no more", 60.0),
    ],
)
def test_after_a_crash_the_next_model_runs(
    trouble: str, message: str, timeout: float, small_model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = Path(_worker.__file__).read_text()
    stand_in = tmp_path / "worker.py"
    before = "    model = (folder"
    assert before in program
    stand_in.write_text(program.replace(before, f"    if request.get('intermediate'):\n        {trouble}\n{before}"))
    data, image = write_tflite(small_model), np.zeros((1, 4, 5, 1), np.int8)
    expected = run_tflm(data, image)
    monkeypatch.setattr("mcukit.tflite._worker.__file__", str(stand_in))
    for _ in range(2):
        assert all(map(np.array_equal, run_tflm(data, image), expected))
        with pytest.raises(McukitError, match=message):
            run_tflm_tensors(data, image, timeout=timeout)


def test_missing_packages(small_model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    data, images = write_tflite(small_model), np.zeros((1, 4, 5, 1), np.int8)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(McukitError) as caught:
        micro.run_tflm(data, images)
    assert caught.value.problems[0].code == "missing-package"
    assert caught.value.problems[0].hint == "pip install --pre 'mcukit[tflm]'"
    with pytest.raises(McukitError) as caught:
        litert.run_litert_reference(data, images)
    assert caught.value.problems[0].hint == "pip install 'mcukit[litert]'"


def test_files_that_are_no_models_never_reach_native_code() -> None:
    for run in (run_tflm, run_litert_reference):
        with pytest.raises(McukitError) as caught:
            run(b"not a model", np.zeros((1, 4, 5, 1), np.int8))
        assert caught.value.problems[0].code == "not-a-tflite-model"
