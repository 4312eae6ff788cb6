# SPDX-License-Identifier: Apache-2.0
"""An exported .tflite file imported again is the same integer network; what files can't mean is refused."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from mcukit.emulation.reference import run_reference
from mcukit.errors import McukitError
from mcukit.export.tflite import build_tflite
from mcukit.importers.tflite import import_tflite
from mcukit.quantized.lower import lower
from mcukit.tflite import options
from mcukit.tflite.enums import ActivationFunctionType, BuiltinOperator, Padding, TensorType
from mcukit.tflite.schema import Buffer, Model, Operator, QuantizationParameters, SubGraph, Tensor
from mcukit.tflite.versions import int8_code
from mcukit.tflite.writer import write_tflite
from tests.ops import (
    test_average_pool,
    test_concat,
    test_fully_connected,
    test_max_pool,
    test_mean,
    test_pad,
    test_reshape,
    test_resize_nearest,
)
from tests.ops.harness import Case, case_graph, quantize_case

TABLES = (
    test_average_pool,
    test_concat,
    test_fully_connected,
    test_max_pool,
    test_mean,
    test_pad,
    test_reshape,
    test_resize_nearest,
)
CASES = tuple(case for table in TABLES for case in table.CASES)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_an_exported_file_imports_as_the_same_network(case: Case) -> None:
    model, inputs = quantize_case(case, case_graph(case))
    again = lower(import_tflite(write_tflite(build_tflite(model.graph)), "again", "the file"))
    expected, found = (run_reference(network, inputs).outputs[0] for network in (model, again))
    np.testing.assert_array_equal(found.reshape(expected.shape), expected)


Operand = tuple[int, ...] | np.ndarray


def operator_file(
    builtin: BuiltinOperator,
    table: options.Options | None,
    inputs: Sequence[Operand],
    output: tuple[int, ...],
    scales: Sequence[float] | None = None,
) -> bytes:
    """A file of one operator; inputs are shapes or constants. scales: of each tensor, none for a float file."""
    buffers, tensors = [Buffer()], []
    for index, operand in enumerate([*inputs, output]):
        constant = isinstance(operand, np.ndarray)
        kind = TensorType.of(operand) if constant else TensorType.FLOAT32 if scales is None else TensorType.INT8
        quantization = None
        if scales is not None and kind is not TensorType.INT32:
            quantization = QuantizationParameters((scales[index],), (0,))
        shape = operand.shape if constant else operand
        tensors.append(Tensor(f"t{index}", tuple(shape), kind, len(buffers) if constant else 0, quantization))
        if constant:
            buffers.append(Buffer(operand.tobytes()))
    result = len(inputs)
    operator = Operator(int8_code(builtin), tuple(range(result)), (result,), table)
    graph = SubGraph(tuple(tensors), (0,), (result,), (operator,), "main")
    return write_tflite(Model((graph,), tuple(buffers)))


AXES = np.array([1, 2], np.int32)
POOL = options.Pool2DOptions(Padding.VALID, 1, 1, 2, 2)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            operator_file(BuiltinOperator.MAX_POOL_2D, POOL, [(1, 4, 4, 2)], (1, 3, 3, 2), (0.1, 0.2)),
            "quantized differently",
        ),
        (
            operator_file(BuiltinOperator.AVERAGE_POOL_2D, POOL, [(1, 4, 4, 2)], (1, 3, 3, 2), (0.1, 0.2)),
            "quantized differently",
        ),
        (
            operator_file(
                BuiltinOperator.CONCATENATION,
                options.ConcatenationOptions(3),
                [(1, 2, 2, 2)],
                (1, 2, 2, 2),
                (0.1, 0.2),
            ),
            "quantized differently",
        ),
        (
            operator_file(BuiltinOperator.CONCATENATION, options.ConcatenationOptions(1), [(1, 2, 2, 2)], (1, 2, 2, 2)),
            "only the last dimension",
        ),
        (
            operator_file(
                BuiltinOperator.CONCATENATION,
                options.ConcatenationOptions(3, ActivationFunctionType.RELU),
                [(1, 2, 2, 2)],
                (1, 2, 2, 2),
            ),
            "fused RELU",
        ),
        (
            operator_file(
                BuiltinOperator.MEAN, options.ReducerOptions(), [(1, 4, 4, 2), np.array([3], np.int32)], (1, 4, 4)
            ),
            "height and width",
        ),
        (
            operator_file(
                BuiltinOperator.TRANSPOSE,
                options.TransposeOptions(),
                [(1, 4, 5, 2), np.array([0, 3, 1, 2], np.int32)],
                (1, 2, 4, 5),
            ),
            "moves elements",
        ),
        (
            operator_file(
                BuiltinOperator.RESHAPE,
                options.ReshapeOptions((4, 5)),
                [(1, 4, 5, 1), np.array([4, 5], np.int32)],
                (4, 5),
            ),
            "starts with a batch of 1",
        ),
        (
            operator_file(
                BuiltinOperator.PAD,
                options.PadOptions(),
                [(1, 4, 4, 2), np.array([[0, 0], [-1, 0], [0, 0], [0, 0]], np.int32)],
                (1, 3, 4, 2),
            ),
            "don't fit",
        ),
        (
            operator_file(
                BuiltinOperator.FULLY_CONNECTED,
                options.FullyConnectedOptions(keep_num_dims=True),
                [(1, 1, 3, 2), np.ones((4, 2), np.float32)],
                (1, 1, 3, 4),
            ),
            "keep_num_dims",
        ),
        (
            operator_file(
                BuiltinOperator.FULLY_CONNECTED,
                options.FullyConnectedOptions(),
                [(1, 3, 3, 2), np.ones((4, 17), np.float32)],
                (1, 4),
            ),
            "don't fit",
        ),
    ],
)
def test_what_cannot_be_imported_is_refused_with_a_reason(data: bytes, message: str) -> None:
    with pytest.raises(McukitError, match=message):
        import_tflite(data, "network", "the file")


@pytest.mark.parametrize(("keep_dims", "names"), [(True, ["average_pool"]), (False, ["average_pool", "reshape"])])
def test_a_float_mean_becomes_pooling(keep_dims: bool, names: list[str]) -> None:
    output = (1, 1, 1, 2) if keep_dims else (1, 2)
    data = operator_file(BuiltinOperator.MEAN, options.ReducerOptions(keep_dims), [(1, 4, 3, 2), AXES], output)
    assert [node.operator.op_name for node in import_tflite(data, "network", "the file").nodes] == names


@pytest.mark.parametrize(
    ("builtin", "table", "shape", "operand", "output"),
    [
        (BuiltinOperator.SQUEEZE, options.SqueezeOptions((1, -2)), (1, 1, 1, 6), None, (1, 6)),
        (BuiltinOperator.EXPAND_DIMS, options.ExpandDimsOptions(), (1, 6), -2, (1, 1, 6)),
        (BuiltinOperator.TRANSPOSE, options.TransposeOptions(), (1, 1, 3, 2), [0, 2, 1, 3], (1, 3, 1, 2)),
        (BuiltinOperator.RESHAPE, options.ReshapeOptions(), (1, 2, 3, 2), [-1, 6, 2], (1, 6, 2)),
    ],
)
def test_operators_that_move_no_bytes_become_reshapes(
    builtin: BuiltinOperator,
    table: options.Options,
    shape: tuple[int, ...],
    operand: int | list[int] | None,
    output: tuple[int, ...],
) -> None:
    operands: list[Operand] = [shape] if operand is None else [shape, np.array(operand, np.int32)]
    graph = import_tflite(operator_file(builtin, table, operands, output), "network", "the file")
    assert [node.operator.op_name for node in graph.nodes] == ["reshape"]
    assert graph.tensors[graph.outputs[0]].shape == output
