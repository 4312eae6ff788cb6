# SPDX-License-Identifier: Apache-2.0
"""Small models for the tests of TFLite files, and the real ones where they are at hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from mcukit.tflite.enums import BuiltinOperator, TensorType
from mcukit.tflite.options import Conv2DOptions, Options
from mcukit.tflite.schema import Buffer, Metadata, Model, Operator, OperatorCode, SubGraph, Tensor
from mcukit.tflite.schema import QuantizationParameters as Affine
from mcukit.tflite.versions import int8_code

REAL_MODELS = Path(__file__).parents[3] / "shared" / "models"


@pytest.fixture(scope="session")
def real_models() -> Path:
    """The folder of the real models; the test is skipped where it is absent."""
    if not REAL_MODELS.is_dir():
        pytest.skip("the real models in ../shared/models are absent")
    return REAL_MODELS


class ModelBuilder:
    """Puts a model together step by step. Every method that makes a tensor returns its index."""

    def __init__(self) -> None:
        self.tensors: list[Tensor] = []
        self.buffers = [Buffer()]
        self.operators: list[Operator] = []

    def computed(
        self,
        shape: Sequence[int],
        affine: Affine | None,
        tensor_type: TensorType = TensorType.INT8,
        name: str = "",
    ) -> int:
        self.tensors.append(Tensor(name or f"t{len(self.tensors)}", tuple(shape), tensor_type, 0, affine))
        return len(self.tensors) - 1

    def constant(self, values: NDArray[np.generic], affine: Affine | None = None) -> int:
        tensor = Tensor(f"t{len(self.tensors)}", values.shape, TensorType.of(values), len(self.buffers), affine)
        self.tensors.append(tensor)
        self.buffers.append(Buffer(values.tobytes()))
        return len(self.tensors) - 1

    def operator(
        self,
        operator: BuiltinOperator | OperatorCode,
        inputs: Sequence[int],
        outputs: Sequence[int],
        options: Options | None = None,
    ) -> None:
        code = operator if isinstance(operator, OperatorCode) else int8_code(operator)
        self.operators.append(Operator(code, tuple(inputs), tuple(outputs), options))

    def build(self, inputs: Sequence[int], outputs: Sequence[int]) -> Model:
        graph = SubGraph(tuple(self.tensors), tuple(inputs), tuple(outputs), tuple(self.operators), "main")
        return Model((graph,), tuple(self.buffers))


@pytest.fixture(scope="session")
def new_builder() -> Callable[[], ModelBuilder]:
    return ModelBuilder


@pytest.fixture(scope="session")
def small_model() -> Model:
    """One convolution with all that a file can have: an absent input, metadata, scales per channel."""
    weights = np.arange(-9, 9, dtype=np.int8).reshape(2, 3, 3, 1)
    image = Tensor(
        "\N{GREEK SMALL LETTER PHI}",
        (1, 4, 5, 1),
        TensorType.INT8,
        0,
        Affine((0.1,), (-128,)),
        shape_signature=(-1, 4, 5, 1),
    )
    filters = Tensor("weights", weights.shape, TensorType.INT8, 1, Affine((0.5, 0.25), (0, 0), 0))
    output = Tensor("output", (1, 2, 3, 2), TensorType.INT8, 0, Affine((0.7,), (127,)), has_rank=True)
    options = Conv2DOptions(stride_w=2, stride_h=2)
    convolution = Operator(int8_code(BuiltinOperator.CONV_2D), (0, 1, -1), (2,), options)
    graph = SubGraph((image, filters, output), (0,), (2,), (convolution,), "main")
    buffers = (Buffer(), Buffer(weights.tobytes()), Buffer(b"1.5.0".ljust(16, b"\0")))
    return Model((graph,), buffers, "a small model", (Metadata("min_runtime_version", 2),))
