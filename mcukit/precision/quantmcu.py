# SPDX-License-Identifier: Apache-2.0
"""QuantMCU after Tao et al. 2024, reconstructed: patches with outliers keep 8 bits, VDQS chooses those of the others.

The patches of a stage are classified by the values that they read (mcukit.precision.vdpc). The maps inside of patches
without outliers, and if wanted those behind the stage, get the bits of mcukit.precision.vdqs. Where all patches meet
there is one scale. Weights keep their 8 bits, and one copy serves both kinds of patches.
"""

from __future__ import annotations

__all__ = [
    "QuantmcuOptions",
    "QuantmcuResult",
    "branch_bitops",
    "classify",
    "inner_groups",
    "narrowed_model",
    "vdqs_choice",
    "with_narrow_maps",
    "with_narrow_tiles",
]

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from mcukit.calibration.ranges import Range, quantization_of
from mcukit.calibration.statistics import MapStatistics
from mcukit.graph.graph import Graph, Quantization
from mcukit.planning.dataflow import Dataflow
from mcukit.planning.plan import Stage
from mcukit.planning.schedule import partition
from mcukit.planning.tiles import StageTiles
from mcukit.precision.bitops import BitopsCost, macs_of_stages, macs_of_tiles, quantized_bitops
from mcukit.precision.entropy import group_entropies
from mcukit.precision.memory_steps import memory_steps
from mcukit.precision.vdpc import PatchClasses, VdpcOptions, classify_patches
from mcukit.precision.vdqs import DEFAULT_LAMBDA, VdqsChoice, search_vdqs
from mcukit.quantized.branches import OutlierTest, narrow_form, with_branches
from mcukit.quantized.integer import IntegerModel
from mcukit.quantized.lower import lower
from mcukit.quantized.precision import quantization_groups
from mcukit.quantized.quantize import with_map_quantizations

Tile = tuple[int, int]
Classification = Literal["off", "static", "runtime"]


@dataclass(frozen=True)
class QuantmcuOptions:
    """vdpc: "off" narrows the maps of all patches; "static" decides by position, "runtime" on the device by value.

    classes: constants of VDPC. entropy_weight: lambda of VDQS. layer_stage: whether maps that leave the patches, and
    those behind them, may be narrowed too. budget: bytes for VDQS; None for no limit.
    """

    vdpc: Classification = "static"
    classes: VdpcOptions = field(default_factory=VdpcOptions)
    entropy_weight: float = DEFAULT_LAMBDA
    layer_stage: bool = False
    budget: int | None = None


@dataclass(frozen=True, eq=False)
class QuantmcuResult:
    """model: with branches, unless VDPC is off. classes: of patches, None where VDPC is off.

    bitops: with what patches compute again, wide ones at their bits; where values decide, the mean over the
    calibration images.
    """

    model: IntegerModel
    classes: PatchClasses | None
    choice: VdqsChoice
    bitops: float


def narrowed_model(
    graph: Graph,
    statistics: Mapping[str, MapStatistics],
    int8: IntegerModel,
    inputs: npt.NDArray[np.float32],
    stages: Sequence[Stage],
    options: QuantmcuOptions,
) -> QuantmcuResult:
    """The network with the bits that VDPC and VDQS give it.

    graph: the float network; int8: its form with 8 bits everywhere, whose weights and ranges are kept. inputs: the
    calibration images (N, height, width, channels). stages: of the plan; the first one is the patches.
    Raises McukitError: what classify_patches and search_vdqs raise, and "bad-branches".
    """
    flow = Dataflow(int8)
    tiles = partition(flow, stages, pushed=False)
    inner = inner_groups(graph, tiles[0], flow)
    choice = vdqs_choice(graph, statistics, int8, tiles, options)
    classes = None if options.vdpc == "off" else classify(int8, tiles[0], inputs, options.classes)
    behind = {group: bits for group, bits in choice.precision.maps.items() if group not in inner}
    within = {group: bits for group, bits in choice.precision.maps.items() if group in inner}
    common = with_narrow_maps(graph, int8.graph, behind)
    shares: dict[Tile, float] | None = None
    if classes is None:
        model = lower(with_narrow_maps(graph, common, within), int8.kernels)
    elif options.vdpc == "static":
        model = with_narrow_tiles(graph, lower(common, int8.kernels), tiles[0], within, classes.outlier_tiles)
    else:
        test = OutlierTest(classes.low, classes.high, tuple(position.count for position in classes.positions))
        model = with_narrow_tiles(graph, lower(common, int8.kernels), tiles[0], within, test=test)
        found = classes.has_outliers(_stored(int8, inputs)).mean(axis=0)
        shares = {position.tile: float(share) for position, share in zip(classes.positions, found, strict=True)}
    return QuantmcuResult(model, classes, choice, branch_bitops(model, tiles, shares))


def vdqs_choice(
    graph: Graph,
    statistics: Mapping[str, MapStatistics],
    int8: IntegerModel,
    tiles: Sequence[StageTiles],
    options: QuantmcuOptions,
) -> VdqsChoice:
    """The bits that VDQS gives the maps inside of the first stage, or with options.layer_stage all maps.

    Arguments are those of narrowed_model; tiles: of all its stages.
    """
    flow = Dataflow(int8)
    return search_vdqs(
        BitopsCost(graph, macs_of_stages(flow, tiles)),
        group_entropies(graph, statistics, _ranges(int8.graph)),
        memory_steps(graph, flow, tiles),
        options.budget,
        entropy_weight=options.entropy_weight,
        groups=None if options.layer_stage else inner_groups(graph, tiles[0], flow),
    )


def with_narrow_maps(graph: Graph, quantized: Graph, bits: Mapping[str, int]) -> Graph:
    """`quantized` with other bits for some maps, which keep their ranges. bits: by group of the float `graph`."""
    return with_map_quantizations(quantized, _changes(graph, quantized, bits))


def with_narrow_tiles(
    graph: Graph,
    model: IntegerModel,
    tiles: StageTiles,
    bits: Mapping[str, int],
    wide: Sequence[Tile] = (),
    test: OutlierTest | None = None,
) -> IntegerModel:
    """`model` whose first stage, `tiles`, has a narrow form too.

    bits: of maps in narrow tiles, by group of the float `graph`. wide, test: which tiles are not, as of with_branches.
    Raises McukitError "bad-branches".
    """
    narrow = with_narrow_maps(graph, model.graph, bits)
    last = tiles.stage.layers[-1]
    count = next(index for index, node in enumerate(narrow.nodes) if node.name == last) + 1
    grid = tiles.stage.tile_rows, tiles.stage.tile_columns
    return with_branches(model, narrow_form(narrow, count), grid, wide, test)


def classify(
    int8: IntegerModel, tiles: StageTiles, inputs: npt.NDArray[np.float32], options: VdpcOptions
) -> PatchClasses:
    """Classes of the patches of a stage that reads the network's input, over calibration images."""
    return classify_patches(tiles, _stored(int8, inputs), options)


def inner_groups(graph: Graph, tiles: StageTiles, flow: Dataflow) -> tuple[str, ...]:
    """Groups of maps of which all are inside of the stage: they may differ from patch to patch."""
    groups = quantization_groups(graph)
    inside = {flow.layers[index].output for index in range(tiles.first, tiles.last)} - set(tiles.outgoing)
    outside = {group for name, group in groups.items() if name not in inside}
    return tuple(dict.fromkeys(group for name, group in groups.items() if name in inside and group not in outside))


def branch_bitops(
    model: IntegerModel, stages: Sequence[StageTiles], wide_shares: Mapping[Tile, float] | None = None
) -> float:
    """BitOPs of one inference, with what tiles compute again.

    wide_shares: how often each tile is wide, for a model whose values decide; by default as its positions say.
    """
    flow = Dataflow(model)
    if model.branches is None:
        return float(quantized_bitops(model.graph, macs_of_stages(flow, stages)).bitops)
    first, rest = stages[0], stages[1:]
    total = float(quantized_bitops(model.graph, macs_of_stages(flow, rest)).bitops)
    for tile in first.regions:
        share = wide_shares[tile] if wide_shares is not None else float(tile in model.branches.wide)
        macs = macs_of_tiles(flow, first, (tile,))
        wide = quantized_bitops(model.graph, macs).bitops
        names = {layer.name: narrow.name for layer, narrow in zip(flow.layers, flow.narrow, strict=False)}
        narrow = quantized_bitops(model.branches.graph, {names[name]: count for name, count in macs.items()}).bitops
        total += share * wide + (1.0 - share) * narrow
    return total


def _changes(graph: Graph, quantized: Graph, bits: Mapping[str, int]) -> dict[str, Quantization]:
    """The range of each map with fewer bits. bits: by group of the float graph."""
    known = {name: bits[group] for name, group in quantization_groups(graph).items() if group in bits}
    groups = quantization_groups(quantized)
    by_group = {groups[name]: width for name, width in known.items()}
    ranges = _ranges(quantized)
    return {name: quantization_of(ranges[name], by_group[root]) for name, root in groups.items() if root in by_group}


def _ranges(quantized: Graph) -> dict[str, Range]:
    """What the integers of each map can express."""
    ranges = {}
    for tensor in quantized.maps():
        if tensor.quantization is None:
            raise ValueError(f"'{tensor.name}' is not quantized")
        low, high = (
            tensor.quantization.tensor_scale * (end - tensor.quantization.zero_point)
            for end in (tensor.quantization.minimum, tensor.quantization.maximum)
        )
        ranges[tensor.name] = Range.around_zero(low, high)
    return ranges


def _stored(int8: IntegerModel, inputs: npt.NDArray[np.float32]) -> npt.NDArray[np.int8]:
    quantization = int8.input.quantization
    if quantization is None:
        raise ValueError("the input is not quantized")
    return np.concatenate([quantization.quantize(image[np.newaxis]) for image in inputs])
