# SPDX-License-Identifier: Apache-2.0
"""VDQS after Tao et al. 2024, reconstructed: bits of maps from entropies, BitOPs and memory, in seconds.

The score of group i of maps at b bits is

    S(i, b) = (1 - lambda) Phi(i, b) - lambda Omega(i, b)

where Phi is the share of all BitOPs that the readers of the maps save against 8 bits, and Omega the share of the maps'
entropy that is lost. Both are divided by their largest value over all maps and widths, or lambda would mean something
else for every network. Every map starts at its best score. Where a layer's maps then don't fit the memory, the one
whose next narrower width costs least of its score is narrowed, until all layers fit.

The paper, "Value-Driven Mixed-Precision Quantization for Patch-Based Inference on Microcontrollers", came without code.
This is its method as far as it is known, and none of its numbers.
"""

from __future__ import annotations

__all__ = ["DEFAULT_LAMBDA", "Lowering", "MapScore", "VdqsChoice", "search_vdqs", "stage_groups"]

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from mcukit.errors import McukitError, Problem
from mcukit.graph.graph import Graph
from mcukit.planning.dataflow import Dataflow
from mcukit.planning.tiles import StageTiles
from mcukit.precision.bitops import Bitops, BitopsCost
from mcukit.precision.entropy import GroupEntropy
from mcukit.precision.memory_steps import MemoryStep
from mcukit.quantized.precision import Precision, quantization_groups, widest_choice

DEFAULT_LAMBDA = 0.5
"""What entropy counts beside BitOPs: 0 looks at BitOPs alone, 1 at entropy alone."""


@dataclass(frozen=True)
class MapScore:
    """One width of one group of maps.

    group: the map that stands for it. saving, loss: Phi and Omega, both between 0 and 1. score: what they come to.
    """

    group: str
    bits: int
    saving: float
    loss: float
    score: float


@dataclass(frozen=True)
class Lowering:
    """A group of maps narrowed so that a layer fits. layer: its name. bits: before and after."""

    layer: str
    group: str
    bits: tuple[int, int]


@dataclass(frozen=True)
class VdqsChoice:
    """What the search chose.

    precision: bits of maps, and of weights as they were given. scores: of every width that every group may have.
    lowered: what memory asked for beyond the best scores, in the order in which it happened.
    peak_bytes: of the most demanding layer.
    """

    precision: Precision
    bitops: Bitops
    scores: tuple[MapScore, ...]
    lowered: tuple[Lowering, ...]
    peak_bytes: int


def stage_groups(graph: Graph, flow: Dataflow, stages: Sequence[StageTiles]) -> tuple[str, ...]:
    """The groups of maps that layers of these stages compute, in the model's order.

    graph: the float network; flow: of its int8 form.
    """
    groups = quantization_groups(graph)
    outputs = {flow.layers[index].output for tiles in stages for index in range(tiles.first, tiles.last)}
    return tuple(dict.fromkeys(groups[tensor.name] for tensor in graph.maps() if tensor.name in outputs))


def search_vdqs(
    cost: BitopsCost,
    entropies: Mapping[str, GroupEntropy],
    steps: Sequence[MemoryStep],
    budget: int | None,
    *,
    entropy_weight: float = DEFAULT_LAMBDA,
    narrowest: int = 2,
    groups: Collection[str] | None = None,
    weights: Mapping[str, int] | None = None,
) -> VdqsChoice:
    """Bits for the maps of a network, or of some of its stages.

    cost: of the network, with what tiles compute again. entropies: by group.
    steps: what must fit the `budget` of bytes; None for no limit.
    entropy_weight: lambda, 0 to 1. narrowest: bits below which no map goes, 8, 4 or 2.
    groups: which may have fewer than 8 bits, such as `stage_groups`; by default all.
    weights: bits of weights by node name.
    The same arguments give the same bits; of equal scores the wider one is taken.
    Raises McukitError "wrong-option", and "budget-exceeded" with every layer that does not fit at the narrowest widths.
    """
    if not 0.0 <= entropy_weight <= 1.0:
        raise McukitError(
            "wrong-option", f"lambda is {entropy_weight:g}", hint="choose a number from 0 to 1", exit_code=2
        )
    choices = {
        group: tuple(bits for bits in widths if bits >= narrowest)
        for group, widths in widest_choice(cost.graph).items()
        if widths != (8,) and (groups is None or group in groups)
    }
    scores = _scores(cost, entropies, choices, entropy_weight, weights or {})
    bits = {group: _best(scores, group, widths) for group, widths in choices.items()}
    lowered = _fit(bits, choices, scores, steps, budget)
    precision = Precision({group: width for group, width in bits.items() if width != 8}, dict(weights or {}))
    peak = max((step.bytes(bits) for step in steps), default=0)
    return VdqsChoice(precision, cost.count(precision), tuple(scores.values()), tuple(lowered), peak)


def _scores(
    cost: BitopsCost,
    entropies: Mapping[str, GroupEntropy],
    choices: Mapping[str, tuple[int, ...]],
    entropy_weight: float,
    weights: Mapping[str, int],
) -> dict[tuple[str, int], MapScore]:
    """By group and width."""
    per_bit = cost.of_readers(weights)
    savings = {(group, bits): per_bit[group] * (8 - bits) for group, widths in choices.items() for bits in widths}
    losses = {(group, bits): entropies[group].loss(bits) for group, bits in savings}
    largest_saving = max(savings.values(), default=0) or 1
    largest_loss = max(losses.values(), default=0.0) or 1.0
    scores = {}
    for key, saved in savings.items():
        # Dividing by the largest one leaves nothing of the sum of all BitOPs, by which Phi is divided.
        saving, loss = saved / largest_saving, losses[key] / largest_loss
        scores[key] = MapScore(*key, saving, loss, (1.0 - entropy_weight) * saving - entropy_weight * loss)
    return scores


def _best(scores: Mapping[tuple[str, int], MapScore], group: str, widths: Sequence[int]) -> int:
    """The width of the best score; of equals the first, which is the widest."""
    return max(widths, key=lambda width: scores[group, width].score)


def _fit(
    bits: dict[str, int],
    choices: Mapping[str, tuple[int, ...]],
    scores: Mapping[tuple[str, int], MapScore],
    steps: Sequence[MemoryStep],
    budget: int | None,
) -> list[Lowering]:
    """Narrows maps in `bits` until all steps fit.

    Widths only fall and with them all bytes, so that a step that fits goes on to fit: one walk reaches the fixed point.
    """
    if budget is None:
        return []
    narrowest = {group: widths[-1] for group, widths in choices.items()}
    _check_narrowest(narrowest, steps, budget)
    lowered = []
    for step in steps:
        while step.bytes(bits) > budget:
            changes = [(group, _next(choices[group], bits[group])) for group in _members(step, bits, narrowest)]
            group, width = min(
                changes, key=lambda change: scores[change[0], bits[change[0]]].score - scores[change].score
            )
            lowered.append(Lowering(step.layer, group, (bits[group], width)))
            bits[group] = width
    return lowered


def _next(widths: Sequence[int], width: int) -> int:
    """The next narrower one."""
    return widths[widths.index(width) + 1]


def _members(step: MemoryStep, bits: Mapping[str, int], narrowest: Mapping[str, int]) -> list[str]:
    """The groups of a step that can be narrowed further."""
    return [group for group in step.groups() if group in narrowest and bits[group] > narrowest[group]]


def _check_narrowest(narrowest: Mapping[str, int], steps: Sequence[MemoryStep], budget: int) -> None:
    """Refuses a budget that some layer exceeds whatever the bits."""
    missing: dict[tuple[str, str], int] = {}
    for step in steps:
        over = step.bytes(narrowest) - budget
        if over > 0:
            key = step.layer, step.op
            missing[key] = max(missing.get(key, 0), over)
    if not missing:
        return
    raise McukitError.collect(
        [
            Problem(
                "budget-exceeded",
                f"its maps exceed {budget:,} bytes by {over:,}, even at the narrowest widths that they may have",
                where=f"node '{layer}' ({op})",
                hint="give a larger budget, or choose a smaller input",
            )
            for (layer, op), over in missing.items()
        ]
    )
