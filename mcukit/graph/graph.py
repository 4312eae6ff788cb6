# SPDX-License-Identifier: Apache-2.0
"""Graph, Node and Tensor: a network as mcukit sees it.

Feature maps are NHWC with batch 1 and static shapes; nodes stand in the order in which they run. The same types carry
a float network and a quantized one: a quantized tensor has `quantization`, and its constant data are integers.
"""

from __future__ import annotations

__all__ = ["Graph", "Node", "Quantization", "Shape", "Tensor", "map_shape"]

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from mcukit.ops.operator import Operator

Shape = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Quantization:
    """Affine quantization: real value = scale * (integer - zero_point).

    scale: float32, shape (1,) per tensor or (channels,) along `axis`.
    zero_point: one integer; 0 wherever scales are per channel.
    bits: width of the stored integer: 8, 4 or 2 for maps and weights, 32 for a bias.
    """

    scale: npt.NDArray[np.float32]
    zero_point: int = 0
    axis: int | None = None
    bits: int = 8

    @classmethod
    def per_tensor(cls, scale: float, zero_point: int, bits: int = 8) -> Quantization:
        return cls(np.array([scale], np.float32), zero_point, None, bits)

    @property
    def minimum(self) -> int:
        """Smallest integer of this width."""
        return -(1 << (self.bits - 1))

    @property
    def maximum(self) -> int:
        """Largest integer of this width."""
        return (1 << (self.bits - 1)) - 1

    @property
    def tensor_scale(self) -> float:
        """The scale of a tensor that has only one."""
        if self.scale.size != 1:
            raise ValueError("this tensor is quantized per channel")
        return float(self.scale[0])

    def same_as(self, other: Quantization) -> bool:
        """Whether integers mean the same real values under both."""
        return (
            self.zero_point == other.zero_point and self.bits == other.bits and np.array_equal(self.scale, other.scale)
        )

    def dequantize(self, values: npt.NDArray[np.integer]) -> npt.NDArray[np.float32]:
        """Real values (float32) of integers of the same shape."""
        scale = self.scale
        if self.axis is not None and scale.size > 1:
            scale = scale.reshape([-1 if i == self.axis else 1 for i in range(values.ndim)])
        return ((values.astype(np.float64) - self.zero_point) * scale).astype(np.float32)

    def quantize(self, values: npt.NDArray[np.floating]) -> npt.NDArray[np.int8]:
        """Nearest integers of real values, saturating; ties away from zero, as the TFLite converter has it."""
        scaled = values.astype(np.float64) / float(self.tensor_scale)
        rounded = np.trunc(scaled + np.copysign(0.5, scaled)) + self.zero_point
        integers: npt.NDArray[np.int8] = np.clip(rounded, self.minimum, self.maximum).astype(np.int8)
        return integers


@dataclass(frozen=True, eq=False)
class Tensor:
    """A feature map (data is None) or a constant.

    shape: NHWC for rank 4. data: float32 in a float graph; int8 or int32 where quantized.
    """

    name: str
    shape: Shape
    data: npt.NDArray[np.generic] | None = None
    quantization: Quantization | None = None

    @property
    def elements(self) -> int:
        product = 1
        for size in self.shape:
            product *= size
        return product


@dataclass(frozen=True)
class Node:
    """One operator applied to named tensors. `inputs` holds maps first, then constants, in the operator's order."""

    name: str
    operator: Operator
    inputs: tuple[str, ...]
    output: str


@dataclass(frozen=True, eq=False)
class Graph:
    """A network: nodes in execution order over named tensors.

    `inputs` and `outputs` name maps. Use `validate` (mcukit.graph.validate) after building one from a file.
    """

    name: str
    tensors: Mapping[str, Tensor]
    nodes: tuple[Node, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "tensors", MappingProxyType(dict(self.tensors)))

    def node_inputs(self, node: Node) -> tuple[Tensor, ...]:
        return tuple(self.tensors[name] for name in node.inputs)

    def map_inputs(self, node: Node) -> tuple[str, ...]:
        """Names of the inputs of `node` that are feature maps, not constants."""
        return tuple(name for name in node.inputs if self.tensors[name].data is None)

    def producers(self) -> dict[str, Node]:
        return {node.output: node for node in self.nodes}

    def consumers(self) -> dict[str, list[Node]]:
        """Nodes that read each tensor; every tensor has an entry."""
        readers: dict[str, list[Node]] = {name: [] for name in self.tensors}
        for node in self.nodes:
            for name in dict.fromkeys(node.inputs):
                readers[name].append(node)
        return readers

    def maps(self) -> Iterator[Tensor]:
        """The feature maps in the order in which they come into being."""
        for name in self.inputs:
            yield self.tensors[name]
        for node in self.nodes:
            yield self.tensors[node.output]

    def replace(
        self,
        *,
        tensors: Mapping[str, Tensor] | None = None,
        nodes: tuple[Node, ...] | None = None,
        outputs: tuple[str, ...] | None = None,
    ) -> Graph:
        """A copy with the given parts changed and tensors dropped that nothing refers to any more."""
        changed = replace(
            self,
            tensors=self.tensors if tensors is None else tensors,
            nodes=self.nodes if nodes is None else nodes,
            outputs=self.outputs if outputs is None else outputs,
        )
        used = {*changed.inputs, *changed.outputs}
        for node in changed.nodes:
            used.update(node.inputs)
            used.add(node.output)
        return replace(changed, tensors={k: v for k, v in changed.tensors.items() if k in used})


def map_shape(shape: Shape) -> tuple[int, int, int]:
    """(height, width, channels) in which a tensor of batch 1 lies in memory; missing dimensions are 1."""
    inner = shape[1:] if len(shape) > 1 else shape
    if len(inner) > 3:
        raise ValueError(f"no feature map has rank {len(shape)}")
    height, width, channels = (1,) * (3 - len(inner)) + tuple(inner)
    return height, width, channels
