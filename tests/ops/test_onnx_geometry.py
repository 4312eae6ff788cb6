# SPDX-License-Identifier: Apache-2.0
"""ONNX nodes that pool, pad, resize, join and multiply: the imported network computes what onnxruntime does."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper, shape_inference

from mcukit.calibration.float_model import FloatModel
from mcukit.errors import McukitError
from mcukit.importers.onnx import import_onnx


def model(
    nodes: list[onnx.NodeProto], shape: list[int], opset: int, constants: dict[str, np.ndarray]
) -> onnx.ModelProto:
    """Nodes from the value `x` to the value `y`."""
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]
    initializers = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = helper.make_graph(nodes, "network", inputs, outputs, initializers)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    return shape_inference.infer_shapes(made, data_prop=True)


def check(nodes: list[onnx.NodeProto], shape: list[int], opset: int = 17, **constants: np.ndarray) -> tuple[str, ...]:
    """Compares the imported network with the file; the names of its operators."""
    made = model(nodes, shape, opset, constants)
    x = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
    session = onnxruntime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    (expected,) = session.run(None, {"x": x})
    graph = import_onnx(made.SerializeToString())
    (found,) = FloatModel(graph).outputs(x.transpose(0, 2, 3, 1) if x.ndim == 4 else x)
    found = found.transpose(0, 3, 1, 2) if found.ndim == 4 else found
    np.testing.assert_allclose(found.reshape(expected.shape), expected, rtol=1e-5, atol=1e-5)
    return tuple(node.operator.op_name for node in graph.nodes)


def node(op_type: str, inputs: str = "x", output: str = "y", **attributes: object) -> onnx.NodeProto:
    return helper.make_node(op_type, inputs.split(), [output], **attributes)


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def floats(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


MAP = [1, 3, 7, 9]


@pytest.mark.parametrize(
    "attributes",
    [
        {"kernel_shape": [2, 2], "strides": [2, 2]},
        {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]},
        {"kernel_shape": [3, 2], "strides": [2, 3], "pads": [1, 0, 2, 1]},
        {"kernel_shape": [2, 2], "strides": [2, 2], "ceil_mode": 1},
        {"kernel_shape": [3, 3], "strides": [2, 2], "auto_pad": "SAME_UPPER"},
        {"kernel_shape": [2, 2], "strides": [2, 2], "auto_pad": "SAME_LOWER"},
    ],
)
def test_max_pool(attributes: dict[str, object]) -> None:
    assert check([node("MaxPool", **attributes)], MAP) == ("max_pool",)


def test_global_max_pool() -> None:
    assert check([node("GlobalMaxPool")], MAP) == ("max_pool",)


@pytest.mark.parametrize(
    ("attributes", "names"),
    [
        ({"kernel_shape": [2, 2], "strides": [2, 2]}, ("average_pool",)),
        ({"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}, ("average_pool",)),
        ({"kernel_shape": [3, 3], "strides": [2, 2], "auto_pad": "SAME_UPPER"}, ("average_pool",)),
        ({"kernel_shape": [3, 2], "pads": [1, 0, 2, 1], "count_include_pad": 1}, ("pad", "average_pool")),
        (
            {"kernel_shape": [3, 3], "strides": [2, 2], "auto_pad": "SAME_UPPER", "count_include_pad": 1},
            ("pad", "average_pool"),
        ),
        ({"kernel_shape": [2, 2], "strides": [2, 2], "count_include_pad": 1}, ("average_pool",)),
        ({"kernel_shape": [2, 2], "strides": [2, 2], "ceil_mode": 1}, ("average_pool",)),
    ],
)
def test_average_pool(attributes: dict[str, object], names: tuple[str, ...]) -> None:
    assert check([node("AveragePool", **attributes)], MAP) == names


def test_pads_that_do_not_count_and_are_not_tflites_are_refused() -> None:
    with pytest.raises(McukitError, match="don't count"):
        check([node("AveragePool", kernel_shape=[2, 2], pads=[1, 1, 0, 0])], MAP)


@pytest.mark.parametrize("keepdims", [0, 1])
def test_means_over_height_and_width_become_pooling(keepdims: int) -> None:
    names = ("average_pool",) if keepdims else ("average_pool", "reshape")
    assert check([node("ReduceMean", axes=[2, 3], keepdims=keepdims)], MAP) == names
    assert check([node("ReduceMean", "x axes", keepdims=keepdims)], MAP, 18, axes=ints(-1, -2)) == names
    assert check([node("GlobalAveragePool")], MAP) == ("average_pool",)


@pytest.mark.parametrize("keepdims", [0, 1])
def test_a_mean_between_the_transposes_of_an_nhwc_network(keepdims: int) -> None:
    nodes = [
        node("Tanh", "x", "a"),
        node("Transpose", "a", "b", perm=[0, 2, 3, 1]),
        node("ReduceMean", "b", "y", axes=[1, 2], keepdims=keepdims),
    ]
    assert check(nodes, MAP)[:2] == ("tanh", "average_pool")


def test_a_mean_over_channels_is_refused() -> None:
    with pytest.raises(McukitError, match="height and width"):
        check([node("ReduceMean", axes=[1])], MAP)


def test_pad() -> None:
    assert check([node("Pad", "x p")], MAP, p=ints(0, 0, 1, 2, 0, 0, 3, 0)) == ("pad",)
    assert check([node("Pad", "x p v")], MAP, p=ints(0, 2, 0, 0, 0, 1, 0, 1), v=floats(1.5)[0]) == ("pad",)
    axes = helper.make_node("Pad", ["x", "p", "", "a"], ["y"])
    assert check([axes], MAP, 18, p=ints(1, 2, 0, 3), a=ints(3, -2)) == ("pad",)
    assert check([node("Pad", "x p", "a"), node("Tanh", "a")], MAP, p=ints(*[0] * 8)) == ("tanh",)


@pytest.mark.parametrize(
    ("pads", "attributes", "message"),
    [
        ((0, 0, 1, 1, 0, 0, 1, 1), {"mode": "reflect"}, "reflect"),
        ((0, 0, 1, 1, 0, 0, 1, 1), {"mode": "edge"}, "edge"),
        ((0, 0, -1, 0, 0, 0, 0, 0), {}, "negative"),
    ],
)
def test_other_padding_is_refused(pads: tuple[int, ...], attributes: dict[str, str], message: str) -> None:
    with pytest.raises(McukitError, match=message):
        check([node("Pad", "x p", **attributes)], MAP, p=ints(*pads))


def test_concat() -> None:
    nodes = [node("Tanh", "x", "a"), node("Concat", "a x a", axis=1)]
    assert check(nodes, MAP) == ("tanh", "concat")
    assert check([node("Tanh", "x", "a"), node("Concat", "x a", axis=-1)], [1, 5]) == ("tanh", "concat")


def test_concat_of_flattened_maps_remembers_where_elements_lie() -> None:
    nodes = [
        node("Flatten", "x", "a"),
        node("Tanh", "x", "b"),
        node("Flatten", "b", "c"),
        node("Concat", "a c", "d", axis=1),
        node("Gemm", "d w", "y", transB=1),
    ]
    weights = np.random.default_rng(0).standard_normal((4, 2 * 3 * 7 * 9)).astype(np.float32)
    assert "concat" in check(nodes, MAP, w=weights)


def test_concat_between_the_transposes_of_an_nhwc_network() -> None:
    nodes = [
        node("Transpose", "x", "a", perm=[0, 2, 3, 1]),
        node("Tanh", "a", "b"),
        node("Concat", "a b", "c", axis=3),
        node("Transpose", "c", "y", perm=[0, 3, 1, 2]),
    ]
    assert check(nodes, MAP) == ("tanh", "concat")


def test_concat_of_rows_is_refused() -> None:
    with pytest.raises(McukitError, match="only channels"):
        check([node("Tanh", "x", "a"), node("Concat", "a x", axis=2)], MAP)


@pytest.mark.parametrize("trans_b", [0, 1])
def test_gemm_reads_a_flattened_map_in_its_own_order(trans_b: int) -> None:
    generator = np.random.default_rng(3)
    weights = generator.standard_normal((5, 189)).astype(np.float32)
    nodes = [node("Flatten", "x", "a"), node("Gemm", "a w c", transB=trans_b, alpha=0.5, beta=2.0)]
    bias = generator.standard_normal(5).astype(np.float32)
    names = check(nodes, MAP, w=weights if trans_b else np.ascontiguousarray(weights.T), c=bias)
    assert names[-1] == "fully_connected"


@pytest.mark.parametrize("shape", [(5,), (1, 5), (1,), (1, 1), ()])
def test_gemm_biases_broadcast(shape: tuple[int, ...]) -> None:
    weights = np.random.default_rng(4).standard_normal((8, 5)).astype(np.float32)
    bias = np.full(shape, 0.7, np.float32)
    assert check([node("Gemm", "x w c")], [1, 8], w=weights, c=bias) == ("fully_connected",)


def test_matmul() -> None:
    weights = np.random.default_rng(4).standard_normal((8, 5)).astype(np.float32)
    assert check([node("MatMul", "x w")], [1, 8], w=weights) == ("fully_connected",)


@pytest.mark.parametrize(
    ("nodes", "shape", "message"),
    [
        ([node("Gemm", "x w", transA=1)], [8, 1], "transA"),
        ([node("MatMul", "x w")], [3, 8], "more than one row"),
        ([node("Transpose", "x", "t"), node("MatMul", "x t")], [1, 8], "two feature maps"),
    ],
)
def test_other_products_are_refused(nodes: list[onnx.NodeProto], shape: list[int], message: str) -> None:
    with pytest.raises(McukitError, match=message):
        check(nodes, shape, w=np.ones((8, 5), np.float32))


RESIZES = [
    {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"},
    {"coordinate_transformation_mode": "half_pixel", "nearest_mode": "round_prefer_floor"},
    {"coordinate_transformation_mode": "half_pixel", "nearest_mode": "round_prefer_ceil"},
    {"coordinate_transformation_mode": "pytorch_half_pixel", "nearest_mode": "round_prefer_floor"},
    {},
]


@pytest.mark.parametrize("attributes", RESIZES)
@pytest.mark.parametrize("factors", [(2, 2), (3, 1), (1, 4), (5, 3)])
def test_resize_by_integer_factors(attributes: dict[str, str], factors: tuple[int, int]) -> None:
    scales = floats(1, 1, *factors)
    assert check([node("Resize", "x r s", **attributes)], MAP, r=floats(), s=scales) == ("resize_nearest",)
    by_size = helper.make_node("Resize", ["x", "", "", "s"], ["y"], **attributes)
    assert check([by_size], MAP, s=ints(1, 3, 7 * factors[0], 9 * factors[1])) == ("resize_nearest",)
    two_axes = helper.make_node("Resize", ["x", "", "s"], ["y"], axes=[3, 2], **attributes)
    assert check([two_axes], MAP, 18, s=floats(*reversed(factors))) == ("resize_nearest",)


@pytest.mark.parametrize("attributes", RESIZES[:1])
def test_resize_to_a_fraction(attributes: dict[str, str]) -> None:
    resize = node("Resize", "x r s", **attributes)
    assert check([resize], [1, 2, 6, 8], r=floats(), s=floats(1, 1, 0.5, 0.25)) == ("resize_nearest",)


@pytest.mark.parametrize(
    ("attributes", "scales", "message"),
    [
        ({"mode": "linear"}, (1, 1, 2, 2), "linear"),
        ({"coordinate_transformation_mode": "align_corners"}, (1, 1, 2, 2), "align_corners"),
        ({"nearest_mode": "floor"}, (1, 1, 2, 2), "can't express"),
        ({"coordinate_transformation_mode": "asymmetric", "nearest_mode": "ceil"}, (1, 1, 2, 2), "can't express"),
        ({}, (1, 1, 1.5, 2), "resizing by"),
        ({}, (1, 2, 2, 2), "only height and width"),
    ],
)
def test_other_resizing_is_refused(attributes: dict[str, str], scales: tuple[float, ...], message: str) -> None:
    with pytest.raises(McukitError, match=message):
        check([node("Resize", "x r s", **attributes)], MAP, r=floats(), s=floats(*scales))
