# SPDX-License-Identifier: Apache-2.0
"""Small random networks and random stages for them: all operators, branches, views, odd sizes.

Everything comes from one `random.Random`, so that a seed is a test case; hypothesis can drive one too.
"""

from __future__ import annotations

__all__ = ["random_inputs", "random_network", "random_stages"]

from collections.abc import Callable
from random import Random

import numpy as np

from mcukit.graph.graph import Graph, Node, Quantization, Shape, Tensor
from mcukit.graph.validate import validate
from mcukit.ops.activation import RELU, UNBOUNDED
from mcukit.ops.add import Add
from mcukit.ops.average_pool import AveragePool
from mcukit.ops.concat import Concat
from mcukit.ops.conv2d import Conv2d
from mcukit.ops.depthwise_conv2d import DepthwiseConv2d
from mcukit.ops.fully_connected import FullyConnected
from mcukit.ops.leaky_relu import LeakyRelu
from mcukit.ops.max_pool import MaxPool
from mcukit.ops.mean import Mean
from mcukit.ops.mul import Mul
from mcukit.ops.operator import Operator
from mcukit.ops.pad import Pad
from mcukit.ops.relu import Clip
from mcukit.ops.reshape import Reshape
from mcukit.ops.resize_nearest import ResizeNearest
from mcukit.ops.sigmoid import Sigmoid
from mcukit.ops.softmax import Softmax
from mcukit.ops.sub import Sub
from mcukit.ops.window import Window
from mcukit.planning.dataflow import Dataflow
from mcukit.planning.plan import Halo, Stage
from mcukit.quantized.integer import IntegerModel, with_kernels
from mcukit.quantized.kernel_sets import KernelSet
from mcukit.quantized.lower import lower

_SCALE = 1 / 64
"""Of every map. Operators that move bytes need equal ones, and products of values around 1 stay around 1."""

_LARGEST = 20
_MOST_CHANNELS = 9


def random_network(generator: Random) -> IntegerModel:
    """A network of 3 to 12 operators on an input of 4 to 14 rows and columns, lowered."""
    return _Builder(generator).network()


def random_inputs(model: IntegerModel, generator: Random, count: int = 2) -> np.ndarray:
    """(count, height, width, channels) of any int8 values."""
    values = np.random.default_rng(generator.getrandbits(32))
    return values.integers(-128, 128, (count, *model.input.shape[1:])).astype(np.int8)


def random_stages(flow: Dataflow, generator: Random) -> tuple[tuple[Stage, ...], bool]:
    """Stages, cut and scheduled at random, and whether the input could be pushed into the first one."""
    names = [layer.name for layer in flow.layers]
    cuts = sorted(generator.sample(range(1, len(names)), generator.randint(0, min(3, len(names) - 1))))
    stages = []
    for first, last in zip([0, *cuts], [*cuts, len(names)], strict=True):
        height, width, _ = flow.shape(flow.layers[last - 1].output)
        rows, columns = generator.randint(1, min(height, 3)), generator.randint(1, min(width, 3))
        layers = tuple(names[first:last])
        stages.append(
            generator.choice(
                (
                    Stage(layers),
                    Stage(layers, halo=Halo.KEPT),
                    Stage(layers, halo=Halo.KEPT),
                    Stage(layers, 1, columns, Halo.KEPT),
                    Stage(layers, rows, columns),
                )
            )
        )
    source = flow.model.input.name
    pushable = (
        stages[0].schedule == "stream"
        and all(reader < len(stages[0].layers) for reader in flow.readers[source])
        and source not in flow.viewed | flow.outputs
    )
    return tuple(stages), pushable and generator.random() < 0.7


class _Builder:
    """Adds operators to a network, each to a map that is there already."""

    def __init__(self, generator: Random) -> None:
        self.generator = generator
        self.values = np.random.default_rng(generator.getrandbits(32))
        self.quantization = Quantization.per_tensor(_SCALE, generator.randint(-30, 30))
        shape = (1, generator.randint(4, 14), generator.randint(4, 14), generator.randint(1, 4))
        self.tensors = {"input": Tensor("input", shape, None, self.quantization)}
        self.nodes: list[Node] = []
        self.maps = ["input"]
        """Maps of rank 4 with the quantization that all of these have."""

    def network(self) -> IntegerModel:
        steps: tuple[Callable[[str], str | None], ...] = (
            self._conv, self._conv, self._conv, self._depthwise, self._depthwise, self._pool, self._elementwise,
            self._elementwise, self._lookup, self._concat, self._squeeze, self._pad, self._resize, self._view,
        )  # fmt: skip
        for _ in range(self.generator.randint(3, 12)):
            # Mostly the newest map: long chains are what stages are about.
            source = self.maps[-1] if self.generator.random() < 0.75 else self.generator.choice(self.maps)
            added = self.generator.choice(steps)(source)
            if added is not None:
                self.maps.append(added)
        if all(isinstance(node.operator, Reshape) for node in self.nodes):
            self.maps.append(self._lookup(self.maps[-1]))
        if self.generator.random() < 0.4:
            self._head(self.maps[-1])
        graph = Graph("random", self.tensors, tuple(self.nodes), ("input",), self._outputs())
        validate(graph)
        model = lower(graph, self.generator.choice(tuple(KernelSet)))
        # Layers take kernels of different sets, as costs say; here as chance does.
        others = {layer.name: self.generator.choice(tuple(KernelSet)) for layer in model.layers}
        return with_kernels(model, model.kernels, others) if self.generator.random() < 0.5 else model

    def _outputs(self) -> tuple[str, ...]:
        """What nobody reads, and sometimes a map in the middle."""
        read = {name for node in self.nodes for name in node.inputs}
        unread = [node.output for node in self.nodes if node.output not in read]
        # A layer that is neither read nor an output: models have such, and it must not get in the way.
        kept = unread[-1:] if self.generator.random() < 0.2 else unread
        if self.generator.random() < 0.2:
            kept.append(self.generator.choice([node.output for node in self.nodes]))
        return tuple(dict.fromkeys(kept))

    def _add(self, operator: Operator, inputs: tuple[str, ...]) -> str:
        name = f"{operator.op_name}{len(self.nodes)}"
        tensors = [self.tensors[i] for i in inputs]
        quantization = operator.fixed_output(tensors) or self.quantization
        self.tensors[name] = Tensor(name, operator.output_shape(tensors), None, quantization)
        self.nodes.append(Node(name, operator, inputs, name))
        return name

    def _shape(self, name: str) -> tuple[int, int, int]:
        _, height, width, channels = self.tensors[name].shape
        return height, width, channels

    def _filter(self, shape: Shape, axis: int, taps: int) -> tuple[str, str]:
        """Names of weights and bias that keep values about as large as they are."""
        number, channels = len(self.tensors), shape[axis]
        scale = np.full(channels, 1 / (73 * np.sqrt(taps)), np.float32)
        scale *= self.values.uniform(0.6, 1.4, channels).astype(np.float32)
        weights = self.values.integers(-127, 128, shape).astype(np.int8)
        bias = self.values.integers(-2000, 2000, channels).astype(np.int32)
        constants = (
            Tensor(f"weights{number}", shape, weights, Quantization(scale, 0, axis)),
            Tensor(f"bias{number}", (channels,), bias, Quantization(scale * np.float32(_SCALE), 0, 0, bits=32)),
        )
        self.tensors |= {tensor.name: tensor for tensor in constants}
        return constants[0].name, constants[1].name

    def _window(self, name: str, *, dilated: bool) -> Window | None:
        """A window that fits into the map and leaves something of it."""
        kernel, stride, dilation, before, after = [], [], [], [], []
        for axis, size in enumerate(self._shape(name)[:2]):
            kernel.append(self.generator.choice((1, 2, 3, 3, 3, 5)))
            stride.append(self.generator.choice((1, 1, 1, 2, 2, 3)))
            dilation.append(self.generator.choice((1, 1, 1, 2, 3)) if dilated else 1)
            reach = (kernel[axis] - 1) * dilation[axis]
            # Pads of a dilated window may be as wide as its reach: then some taps see padding alone.
            before.append(self.generator.randint(0, min(reach, 4)))
            after.append(self.generator.randint(0, min(reach, 4)))
            if size + before[axis] + after[axis] <= reach or size > 3 * _LARGEST:
                return None
        pads = (before[0], before[1], after[0], after[1])
        return Window((kernel[0], kernel[1]), (stride[0], stride[1]), (dilation[0], dilation[1]), pads)

    def _conv(self, name: str) -> str | None:
        channels, window = self._shape(name)[2], self._window(name, dilated=True)
        if window is None:
            return None
        groups = self.generator.choice([divisor for divisor in (1, 1, 1, 2, 3) if channels % divisor == 0])
        outputs = groups * self.generator.randint(1, max(1, _MOST_CHANNELS // groups))
        depth = channels // groups
        taps = window.kernel[0] * window.kernel[1] * depth
        constants = self._filter((outputs, *window.kernel, depth), 0, taps)
        clamp = self.generator.choice((UNBOUNDED, RELU))
        return self._add(Conv2d(window, groups, clamp), (name, *constants))

    def _depthwise(self, name: str) -> str | None:
        channels, window = self._shape(name)[2], self._window(name, dilated=True)
        if window is None:
            return None
        multiplier = self.generator.choice((1, 1, 1, 2)) if channels * 2 <= _MOST_CHANNELS else 1
        shape = (1, *window.kernel, channels * multiplier)
        constants = self._filter(shape, 3, window.kernel[0] * window.kernel[1])
        return self._add(DepthwiseConv2d(window, self.generator.choice((UNBOUNDED, RELU))), (name, *constants))

    def _pool(self, name: str) -> str | None:
        window = self._window(name, dilated=False)
        if window is None:
            return None
        height, width, _ = self._shape(name)
        if self.generator.random() < 0.5:
            return self._add(MaxPool(window), (name,))
        pads = window.same_pads(height, width) if self.generator.random() < 0.5 else (0, 0, 0, 0)
        window = Window(window.kernel, window.stride, pads=pads)
        if window.output_size(height, 0) < 1 or window.output_size(width, 1) < 1:
            return None
        return self._add(AveragePool(window), (name,))

    def _elementwise(self, name: str) -> str:
        """With a map of the same shape, itself, one that broadcasts, or a constant on either side."""
        operator = self.generator.choice((Add(), Add(RELU), Sub(), Mul()))
        height, width, channels = self._shape(name)
        wanted = ((height, width, channels), (1, 1, channels), (1, width, channels), (height, 1, 1), (1, 1, 1))
        partners = [other for other in self.maps if self._shape(other) in wanted]
        if self.generator.random() < 0.6:
            return self._add(operator, self._shuffled(name, self.generator.choice(partners)))
        shape = self.generator.choice((wanted[0], wanted[1], (channels,), wanted[2], wanted[3], (1, 1, 1, 1)))
        data = self.values.integers(-100, 100, shape).astype(np.int8)
        constant = f"constant{len(self.tensors)}"
        self.tensors[constant] = Tensor(constant, shape, data, Quantization.per_tensor(_SCALE, 3))
        return self._add(operator, self._shuffled(name, constant))

    def _shuffled(self, first: str, second: str) -> tuple[str, str]:
        return (first, second) if self.generator.random() < 0.5 else (second, first)

    def _lookup(self, name: str) -> str:
        return self._add(self.generator.choice((Clip(RELU), LeakyRelu(0.125))), (name,))

    def _concat(self, name: str) -> str | None:
        height, width, channels = self._shape(name)
        partners = [other for other in self.maps if self._shape(other)[:2] == (height, width)]
        other = self.generator.choice(partners)
        if channels + self._shape(other)[2] > 2 * _MOST_CHANNELS:
            return None
        return self._add(Concat(), self._shuffled(name, other))

    def _squeeze(self, name: str) -> str:
        """Squeeze and excite: every pixel times a factor for each channel that all pixels decide on."""
        height, width, channels = self._shape(name)
        pool = Mean() if self.generator.random() < 0.5 else AveragePool(Window((height, width)))
        weights, bias = self._filter((channels, 1, 1, channels), 0, channels)
        pooled = self._add(Conv2d(Window((1, 1))), (self._add(pool, (name,)), weights, bias))
        return self._add(Mul(), self._shuffled(name, self._add(Sigmoid(), (pooled,))))

    def _pad(self, name: str) -> str | None:
        height, width, channels = self._shape(name)
        if max(height, width) + 5 > _LARGEST or channels + 2 > _MOST_CHANNELS:
            return None
        top, left, bottom, right = (self.generator.randint(0, 3) for _ in range(4))
        more = self.generator.choice(((0, 0), (0, 0), (1, 0), (0, 1)))
        return self._add(Pad((top, left, bottom, right), more, self.generator.choice((0.0, 0.5))), (name,))

    def _resize(self, name: str) -> str:
        size = self.generator.randint(1, _LARGEST), self.generator.randint(1, _LARGEST)
        aligned = self.generator.random() < 0.3
        return self._add(ResizeNearest(size, aligned, not aligned and self.generator.random() < 0.5), (name,))

    def _view(self, name: str) -> str:
        """Rows become columns, or pixels channels."""
        height, width, channels = self._shape(name)
        shapes = [(1, width, height, channels), (1, height, 1, width * channels), (1, height * width, 1, channels)]
        fitting = [shape for shape in shapes if max(shape[1:3]) <= _LARGEST and shape[3] <= 2 * _MOST_CHANNELS]
        return self._add(Reshape(self.generator.choice([*fitting, (1, height, width, channels)])), (name,))

    def _head(self, name: str) -> None:
        """A classifier."""
        elements = self.tensors[name].elements
        outputs = self.generator.randint(1, 6)
        vector = self._add(Reshape((1, elements)), (name,)) if self.generator.random() < 0.5 else name
        logits = self._add(FullyConnected(), (vector, *self._filter((outputs, elements), 0, elements)))
        if self.generator.random() < 0.5:
            self._add(Softmax(), (logits,))
