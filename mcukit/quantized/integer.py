# SPDX-License-Identifier: Apache-2.0
"""The integer model: layers that compute bytes, each with the C kernel that computes the same bytes."""

from __future__ import annotations

__all__ = [
    "ConstantArray",
    "Field",
    "IntegerModel",
    "IntegerOperator",
    "Kernel",
    "Layer",
    "MapForm",
    "other_kernels",
    "own_constants",
    "with_kernels",
]

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from mcukit.errors import McukitError
from mcukit.graph.graph import Graph, Node, Tensor, map_shape
from mcukit.graph.region import Region
from mcukit.quantized.kernel_sets import KernelSet
from mcukit.quantized.packing import pixel_bytes

if TYPE_CHECKING:
    from mcukit.quantized.branches import Branches

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

    def same_as(self, other: ConstantArray) -> bool:
        """Whether one of them can stand for both."""
        return self.c_type == other.c_type and np.array_equal(self.values, other.values)


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
    rows_together: how many rows of a call are computed at once, from its first row on: each of them may be written
        before any other one has read all that it needs.
    """

    function: str
    fields: tuple[Field, ...] = field(default_factory=tuple)
    inputs_as_array: bool = False
    scratch_bytes: int = 0
    takes_scratch: bool = False
    in_place: tuple[int, ...] = ()
    rows_together: int = 1
    constant_maps: tuple[tuple[int, ConstantArray, tuple[int, int, int]], ...] = ()

    @property
    def constants(self) -> tuple[ConstantArray, ...]:
        arrays = tuple(f.value for f in self.fields if isinstance(f.value, ConstantArray))
        return arrays + tuple(array for _, array, _ in self.constant_maps)


@dataclass(frozen=True)
class MapForm:
    """How a map lies in memory. bits: 8, or 4 or 2 where values are packed (mcukit.quantized.packing)."""

    height: int
    width: int
    channels: int
    bits: int = 8

    @classmethod
    def of(cls, tensor: Tensor) -> MapForm:
        """The form of a map of a quantized graph."""
        if tensor.quantization is None:
            raise ValueError(f"'{tensor.name}' is not quantized")
        return cls(*map_shape(tensor.shape), tensor.quantization.bits)

    @property
    def pixel_bytes(self) -> int:
        """Bytes from one pixel to the next."""
        return pixel_bytes(self.channels, self.bits)

    @property
    def row_bytes(self) -> int:
        return self.width * self.pixel_bytes


class IntegerOperator(ABC):
    """Integer arithmetic of one layer. Maps are int8 arrays of shape (batch, height, width, channels).

    Values of maps and weights of 4 and 2 bits are int8 here too; only kernels see them packed.
    """

    @property
    def weight_bits(self) -> int:
        """Bits of its weights; 8 where it has none."""
        return 8

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
        """The C kernel for maps and weights of 8 bits, or None where the output is the input's memory, reshaped."""

    def dsp_kernel(self) -> Kernel | None:
        """The same of the set DSP; by default, where that has none of its own, the portable one.

        Its parameters and constants are those of `kernel`, so that it can call the portable one.
        """
        return self.kernel()

    def mve_kernel(self) -> Kernel | None:
        """The same of the set MVE; by default that of DSP, whose instructions cores with Helium have too.

        Its weights may lie otherwise than those of the other sets.
        """
        return self.dsp_kernel()

    def packed_kernel(self, inputs: Sequence[MapForm], output: MapForm) -> Kernel:  # noqa: ARG002 - the default
        """The C kernel where a map or the weights have fewer than 8 bits. inputs: forms of the maps that it reads.

        Raises McukitError "unsupported-bits" for widths that no kernel has.
        """
        raise McukitError(
            "unsupported-bits",
            "it has no kernel for maps of fewer than 8 bits",
            hint="give the maps that it reads and writes 8 bits",
        )

    def packed_dsp_kernel(self, inputs: Sequence[MapForm], output: MapForm) -> Kernel:
        """The same of the set DSP, with parameters and constants of `packed_kernel`; by default the portable one."""
        return self.packed_kernel(inputs, output)

    def largest_accumulator(self) -> int:
        """A proven bound on |accumulator| for any input; the export refuses models where it reaches 2^31."""
        return 0


@dataclass(frozen=True, eq=False)
class Layer:
    """A node with its arithmetic. inputs: names of the maps that it reads. forms: of these; output_form: of its own.

    kernels: the set that `kernel` is of, if the set has one for the layer, or else a portable one.
    """

    node: Node
    operator: IntegerOperator
    inputs: tuple[str, ...]
    forms: tuple[MapForm, ...]
    output_form: MapForm
    kernels: KernelSet = KernelSet.PORTABLE

    @property
    def name(self) -> str:
        return self.node.name

    @property
    def output(self) -> str:
        return self.node.output

    @property
    def is_packed(self) -> bool:
        """Whether a map that it reads or writes, or its weights, have fewer than 8 bits."""
        forms = (*self.forms, self.output_form)
        return self.operator.weight_bits != 8 or any(form.bits != 8 for form in forms)

    @cached_property
    def kernel(self) -> Kernel | None:
        """The C kernel for these maps, or None for a view."""
        plain = _kernel_of(self.operator, self.kernels)
        if plain is None or not self.is_packed:
            return plain
        # Cores with Helium have DSP instructions.
        portable = self.kernels is KernelSet.PORTABLE
        packed = self.operator.packed_kernel if portable else self.operator.packed_dsp_kernel
        return packed(self.forms, self.output_form)


def _kernel_of(operator: IntegerOperator, kernels: KernelSet) -> Kernel | None:
    """The C kernel for maps and weights of 8 bits."""
    match kernels:
        case KernelSet.PORTABLE:
            return operator.kernel()
        case KernelSet.DSP:
            return operator.dsp_kernel()
        case KernelSet.MVE:
            return operator.mve_kernel()


@dataclass(frozen=True, eq=False)
class IntegerModel:
    """A quantized network, ready to run or to be written as C.

    graph: its quantized Graph. branches: the second form of its first layers, where these run in tiles of two
    precisions. kernels: the set of C kernels that its layers are computed with, unless one takes those of an earlier
    set (mcukit.planning.kernel_choice).
    """

    graph: Graph
    layers: tuple[Layer, ...]
    branches: Branches | None = None
    kernels: KernelSet = KernelSet.PORTABLE

    @property
    def name(self) -> str:
        return self.graph.name

    @property
    def input(self) -> Tensor:
        return self.graph.tensors[self.graph.inputs[0]]

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        return tuple(self.graph.tensors[name] for name in self.graph.outputs)

    @cached_property
    def steps(self) -> tuple[Layer, ...]:
        """The layers that generated C numbers: those that compute something, then the narrow forms of some of them."""
        narrow = self.branches.layers if self.branches else ()
        return (*(layer for layer in self.layers if layer.kernel is not None), *narrow)

    def graph_of(self, layer: Layer) -> Graph:
        """The quantized Graph that a layer is a node of: the network's, or that of the narrow forms."""
        if self.branches and layer in self.branches.layers:
            return self.branches.graph
        return self.graph

    @property
    def weight_bytes(self) -> int:
        """Bytes of all constants that the kernels read."""
        shared = {layer.name: narrow for layer, narrow in zip(self.steps, self._narrow_kernels(), strict=False)}
        total = 0
        for layer in self.layers:
            if layer.kernel is not None:
                arrays = [*layer.kernel.constants]
                if layer.name in shared:
                    arrays += own_constants(layer.kernel, shared[layer.name])
                total += sum(array.bytes for array in arrays)
        return total

    def _narrow_kernels(self) -> tuple[Kernel, ...]:
        layers = self.branches.layers if self.branches else ()
        return tuple(layer.kernel for layer in layers if layer.kernel is not None)


def with_kernels(
    model: IntegerModel, kernels: KernelSet, others: Mapping[str, KernelSet] | None = None
) -> IntegerModel:
    """The same arithmetic, computed with the C kernels of a set.

    others: layers that take kernels of another set, by name, narrow forms too; names that the model has not are of no
    meaning.
    """
    sets = others or {}

    def changed(layers: Sequence[Layer]) -> tuple[Layer, ...]:
        return tuple(replace(layer, kernels=sets.get(layer.name, kernels)) for layer in layers)

    branches = model.branches
    if branches is not None:
        branches = replace(branches, layers=changed(branches.layers))
    return replace(model, layers=changed(model.layers), branches=branches, kernels=kernels)


def other_kernels(model: IntegerModel) -> dict[str, KernelSet]:
    """The layers that take kernels of another set than their network, by name: what `with_kernels` takes."""
    return {layer.name: layer.kernels for layer in model.steps if layer.kernels is not model.kernels}


def own_constants(wide: Kernel, narrow: Kernel) -> tuple[ConstantArray, ...]:
    """The constants of a narrow form that the other form has not: weights are mostly shared."""
    return tuple(array for array in narrow.constants if not any(array.same_as(other) for other in wide.constants))
