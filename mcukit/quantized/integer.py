# SPDX-License-Identifier: Apache-2.0
"""The integer model: layers that compute bytes, each with the C kernel that computes the same bytes."""

from __future__ import annotations

__all__ = ["ConstantArray", "Field", "IntegerModel", "IntegerOperator", "Kernel", "Layer"]

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from mcukit.graph.graph import Graph, Node, Tensor
from mcukit.graph.region import Region

Int8Array = npt.NDArray[np.int8]


@dataclass(frozen=True, eq=False)
class ConstantArray:
    """A constant in flash. c_type: the element's type in C; meaning: the shape in words, for the comment."""

    suffix: str
    c_type: str
    values: npt.NDArray[np.integer]
    meaning: str

    @property
    def bytes(self) -> int:
        return int(self.values.nbytes)


@dataclass(frozen=True, eq=False)
class Field:
    """One member of a kernel's parameter struct."""

    name: str
    value: int | ConstantArray


@dataclass(frozen=True, eq=False)
class Kernel:
    """A call of the C runtime.

    function: its name; `function`.h declares it, and its parameter struct is `function`_params.
    fields: the struct's members; the order does not matter.
    inputs_as_array: whether input maps are passed as an array of pointers, because their number varies.
    scratch_bytes: working memory that the call needs besides its maps.
    takes_scratch: whether the function has a scratch parameter even where it needs none.
    constant_maps: constants that the kernel reads like feature maps: position among its inputs, data, (height, width,
        channels).
    in_place: input maps, by position, in whose memory the output may be written (same rows, byte for byte).
    """

    function: str
    fields: tuple[Field, ...] = field(default_factory=tuple)
    inputs_as_array: bool = False
    scratch_bytes: int = 0
    takes_scratch: bool = False
    in_place: tuple[int, ...] = ()
    constant_maps: tuple[tuple[int, ConstantArray, tuple[int, int, int]], ...] = ()

    @property
    def constants(self) -> tuple[ConstantArray, ...]:
        arrays = tuple(f.value for f in self.fields if isinstance(f.value, ConstantArray))
        return arrays + tuple(array for _, array, _ in self.constant_maps)


class IntegerOperator(ABC):
    """Integer arithmetic of one layer. Maps are int8 arrays of shape (batch, height, width, channels)."""

    @abstractmethod
    def evaluate(self, inputs: Sequence[Int8Array]) -> Int8Array:
        """Output bytes; any batch size."""

    def crop(self, output: Region, inputs: Sequence[Region]) -> IntegerOperator:  # noqa: ARG002 - the default
        """The operator that computes the part `output` of its map, alone, from the parts `inputs` of its input maps.

        output: at least one pixel. inputs: for each map of `evaluate`, what Operator.input_region gives for `output`;
        `evaluate` of the result takes arrays that hold just these. Raises ValueError for a view, which is never
        computed, and where windows are given another part of their input. By default the operator itself, which is
        right where the arithmetic doesn't depend on where a pixel lies.
        """
        return self

    @abstractmethod
    def kernel(self) -> Kernel | None:
        """The C kernel, or None where the output is the input's memory under another shape."""

    def largest_accumulator(self) -> int:
        """A proven bound on |accumulator| for any input; the export refuses models where it reaches 2^31."""
        return 0


@dataclass(frozen=True, eq=False)
class Layer:
    """A node with its arithmetic. inputs: names of the maps that it reads."""

    node: Node
    operator: IntegerOperator
    inputs: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.node.name

    @property
    def output(self) -> str:
        return self.node.output


@dataclass(frozen=True, eq=False)
class IntegerModel:
    """A quantized network, ready to run or to be written as C. `graph` is its quantized Graph."""

    graph: Graph
    layers: tuple[Layer, ...]

    @property
    def name(self) -> str:
        return self.graph.name

    @property
    def input(self) -> Tensor:
        return self.graph.tensors[self.graph.inputs[0]]

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        return tuple(self.graph.tensors[name] for name in self.graph.outputs)

    @property
    def weight_bytes(self) -> int:
        """Bytes of all constants that the kernels read."""
        kernels = [layer.operator.kernel() for layer in self.layers]
        return sum(constant.bytes for kernel in kernels if kernel for constant in kernel.constants)
