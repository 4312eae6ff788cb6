# SPDX-License-Identifier: Apache-2.0
"""Weights, biases and scales of a block chosen together, so that the block's output is nearest to the float network's.

After Li et al., "BRECQ: Pushing the Limit of Post-Training Quantization by Block Reconstruction" (2021). A block reads
what the quantized network before it computes and aims at what the float network computes, so that it makes up for
errors before it too. If asked to, values of its maps are left unquantized at random, after Wei et al., "QDrop: Randomly
Dropping Quantization for Extremely Low-bit Post-Training Quantization" (2022).

It starts from weights that mcukit.repair.weight_rounding has rounded layer by layer. A block in which nothing has
fewer than 8 bits stays as it is, and so does one that images which it did not learn from find no better.
"""

from __future__ import annotations

__all__ = ["ReconstructionOptions", "reconstruct_blocks"]

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from mcukit.calibration.float_model import FloatModel
from mcukit.graph.graph import Graph, Quantization, map_shape
from mcukit.graph.region import Region, whole_region
from mcukit.quantized.precision import quantization_groups
from mcukit.quantized.quantize import with_map_quantizations
from mcukit.repair.adam import Adam
from mcukit.repair.block_network import BlockNetwork, is_differentiable
from mcukit.repair.blocks import Block, block_graph, cut_into_blocks
from mcukit.repair.rounding_variables import LayerVariables
from mcukit.simulation.simulation import Simulation

FloatArray = npt.NDArray[np.float32]

CROP = 8
"""Rows and columns of a large block's output that one step looks at."""

LARGEST_WHOLE = 1 << 15
"""Values of a block's largest map up to which a step looks at whole maps."""

JUDGED_SHARE = 10
"""One image in so many is not learned from, but says whether a block is better than before."""


@dataclass(frozen=True)
class ReconstructionOptions:
    """How blocks learn.

    steps: for each block, of `batch` images. rates: of Adam, for the variables of rounding, logarithms of weights'
    and of maps' scales, and biases in units of their mean size.

    penalty: of weights between two integers, against an error as large as the output's variance. exponents: of the
    penalty, at the first and at the last step. unquantized: share of values that are replaced by float ones.
    flips: whether images are learned from mirrored too.
    """

    steps: int = 300
    batch: int = 16
    rounding_rate: float = 0.1
    weight_scale_rate: float = 0.002
    map_scale_rate: float = 0.003
    bias_rate: float = 0.005
    penalty: float = 3.0
    exponents: tuple[float, float] = (8.0, 2.0)
    unquantized: float = 0.0
    flips: bool = True
    seed: int = 0


DEFAULTS = ReconstructionOptions()


def reconstruct_blocks(
    model: FloatModel,
    quantized: Graph,
    inputs: FloatArray,
    options: ReconstructionOptions = DEFAULTS,
    progress: Callable[[int, int], None] | None = None,
) -> Graph:
    """`quantized` with other weights of fewer than 8 bits, other biases and scales in blocks that have narrow parts.

    quantized: what quantize_graph made of `model.graph`. inputs: calibration images (N, height, width, channels); a
    single one teaches nothing. progress: called with (blocks done, blocks in all). The same arguments give the same
    integers, as long as products of matrices are summed in the same order: BLAS may do otherwise with another number
    of threads.
    """
    blocks = cut_into_blocks(quantized, model.graph)
    images, judged = _split(inputs, options)
    if not len(judged):
        return quantized
    real = _Pair(images, judged)
    found = _Pair(*(_on_grid(part, quantized.tensors[quantized.inputs[0]].quantization) for part in (images, judged)))
    for index, block in enumerate(blocks):
        target = real.after(model.graph, block)
        before = found.after(quantized, block)
        if _is_narrow(quantized, block) and is_differentiable(quantized, block):
            maps = _Maps(real.learned, found.learned, target.learned)
            learned = _learn(model.graph, quantized, block, maps, options)
            after = found.after(learned, block)
            if _error(after.judged, target.judged) < _error(before.judged, target.judged):
                quantized, before = learned, after
        real, found = target, before
        if progress:
            progress(index + 1, len(blocks))
    return quantized


@dataclass(frozen=True, eq=False)
class _Pair:
    """A map over the images that are learned from and over those that judge, (N, height, width, channels)."""

    learned: FloatArray
    judged: FloatArray

    def after(self, graph: Graph, block: Block) -> _Pair:
        """The block's target, for this as its source."""
        simulation = Simulation(block_graph(graph, block))
        return _Pair(*(simulation.run(part)[0] for part in (self.learned, self.judged)))


@dataclass(frozen=True, eq=False)
class _Maps:
    """real, found: the block's source in the float and in the quantized network. target: in the float network."""

    real: FloatArray
    found: FloatArray
    target: FloatArray


def _split(inputs: FloatArray, options: ReconstructionOptions) -> tuple[FloatArray, FloatArray]:
    """Images to learn from and images to judge by."""
    judges = np.arange(len(inputs)) % JUDGED_SHARE == 1
    learned = inputs[~judges]
    if options.flips and inputs.ndim == 4:
        learned = np.concatenate([learned, learned[:, :, ::-1]])
    return learned, inputs[judges]


def _on_grid(values: FloatArray, grid: Quantization | None) -> FloatArray:
    if grid is None:
        raise ValueError("the input is not quantized")
    return grid.dequantize(grid.quantize(values))


def _error(found: FloatArray, target: FloatArray) -> float:
    return float(np.square(found.astype(np.float64) - target).mean())


def _is_narrow(graph: Graph, block: Block) -> bool:
    """Whether any weights or maps that the block makes have fewer than 8 bits."""
    names = [node.inputs[1] for node in block.nodes if node.operator.has_weights]
    names += [node.output for node in block.nodes]
    grids = (graph.tensors[name].quantization for name in names)
    return any(grid is not None and grid.bits < 8 for grid in grids)


def _learn(original: Graph, graph: Graph, block: Block, maps: _Maps, options: ReconstructionOptions) -> Graph:
    """`graph` with what the block learned."""
    originals = {node.name: node for node in original.nodes}
    layers = [
        LayerVariables.of(graph, original.tensors[originals[node.name].inputs[1]], node)
        for node in block.nodes
        if node.operator.has_weights
    ]
    scales = _MapScales(graph, block)
    network = BlockNetwork(graph, block)
    arrays = [array for layer in layers for array in layer.arrays()]
    optimizer = Adam([*arrays, scales.logarithms], [*_rates(layers, options), options.map_scale_rate])
    penalty = options.penalty / max(1, sum(layer.lower.size for layer in layers if layer.logits is not None))
    variance = max(float(maps.target.var()), float(np.finfo(np.float32).tiny))
    first, last = options.exponents
    for step, sample in enumerate(_samples(network, maps, options)):
        filters = {layer.node.name: (layer.weights(), layer.bias) for layer in layers}
        trace = network.run(
            sample.source,
            filters,
            sample.regions,
            scales.by_name(),
            unrounded=options.unquantized,
            random=sample.random,
        )
        slope = (trace.output - sample.target) * np.float32(2.0 / (sample.target.size * variance))
        found = network.backward(trace, slope)
        cosine = (1.0 + np.cos(np.pi * step / options.steps)) / 2.0
        exponent = last + (first - last) * cosine
        changes = [
            change for layer in layers for change in layer.gradients(*found.filters[layer.node.name], penalty, exponent)
        ]
        optimizer.step([*changes, scales.gradient(found.scales)])
    changed = with_map_quantizations(graph, scales.quantizations())
    tensors = dict(changed.tensors)
    for layer in layers:
        weights, bias = layer.quantized(changed)
        tensors[weights.name], tensors[bias.name] = weights, bias
    return changed.replace(tensors=tensors)


def _rates(layers: Sequence[LayerVariables], options: ReconstructionOptions) -> Iterator[float]:
    for layer in layers:
        if layer.logits is not None:
            yield options.rounding_rate
        yield options.weight_scale_rate
        yield options.bias_rate * float(np.abs(layer.bias).mean())


class _MapScales:
    """Scales of the block's narrow maps, of those whose whole group the block computes."""

    def __init__(self, graph: Graph, block: Block) -> None:
        groups = quantization_groups(graph)
        inside = {node.output for node in block.nodes}
        members: dict[str, list[str]] = {}
        for name, root in groups.items():
            members.setdefault(root, []).append(name)
        self._grids = {}
        for node in block.nodes:
            grid = graph.tensors[node.output].quantization
            if grid is not None and grid.bits < 8 and inside.issuperset(members[groups[node.output]]):
                self._grids[node.output] = grid
        roots = list(dict.fromkeys(groups[name] for name in self._grids))
        self._places = {name: roots.index(groups[name]) for name in self._grids}
        self._start = {place: self._grids[name].tensor_scale for name, place in self._places.items()}
        self.logarithms = np.zeros(len(roots), np.float32)

    def by_name(self) -> dict[str, float]:
        factors = np.exp(self.logarithms)
        return {name: float(self._start[place] * factors[place]) for name, place in self._places.items()}

    def gradient(self, by_scale: Mapping[str, float]) -> FloatArray:
        """By the logarithms."""
        found = np.zeros_like(self.logarithms)
        for name, scale in self.by_name().items():
            found[self._places[name]] += by_scale[name] * scale
        return found

    def quantizations(self) -> dict[str, Quantization]:
        return {
            name: replace(self._grids[name], scale=np.array([scale], np.float32))
            for name, scale in self.by_name().items()
        }


@dataclass(frozen=True, eq=False)
class _Sample:
    """What one step learns from: parts of the block's source and target, (height, width, images, channels)."""

    regions: Mapping[str, Region]
    source: FloatArray
    target: FloatArray
    random: np.random.Generator


def _samples(network: BlockNetwork, maps: _Maps, options: ReconstructionOptions) -> Iterator[_Sample]:
    random = np.random.default_rng(options.seed)
    block = network.block
    order = np.empty(0, np.int64)
    for _ in range(options.steps):
        while len(order) < options.batch:
            order = np.concatenate([order, random.permutation(len(maps.target))])
        images, order = order[: options.batch], order[options.batch :]
        regions = network.regions(_part(network, random))
        source, real = (_cut(values, images, regions[block.source]) for values in (maps.found, maps.real))
        kept = random.random(source.shape, dtype=np.float32) < options.unquantized
        target = _cut(maps.target, images, regions[block.target])
        yield _Sample(regions, np.where(kept, real, source), target, random)


def _part(network: BlockNetwork, random: np.random.Generator) -> Region:
    """The whole target of a small block, else some part of it."""
    tensors = network.graph.tensors
    whole = whole_region(tensors[network.block.target])
    names = [network.block.source, *(node.output for node in network.block.nodes)]
    if not network.can_be_cropped or max(tensors[name].elements for name in names) <= LARGEST_WHOLE:
        return whole
    height, width = min(CROP, whole.rows), min(CROP, whole.columns)
    row, column = (int(random.integers(0, size + 1)) for size in (whole.rows - height, whole.columns - width))
    return Region(row, row + height, column, column + width)


def _cut(values: FloatArray, images: npt.NDArray[np.int64], region: Region) -> FloatArray:
    """A part of some images, (height, width, images, channels)."""
    maps = values[images].reshape(len(images), *map_shape(values.shape))
    part = maps[:, region.first_row : region.last_row, region.first_column : region.last_column]
    return np.ascontiguousarray(part.transpose(1, 2, 0, 3))
