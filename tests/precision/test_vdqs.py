# SPDX-License-Identifier: Apache-2.0
"""VDQS: scores by hand, the best of them, and what memory makes of it."""

from __future__ import annotations

import pytest

from mcukit.errors import McukitError
from mcukit.planning.plan import Halo, Stage
from mcukit.planning.schedule import partition
from mcukit.precision.bitops import BitopsCost
from mcukit.precision.entropy import GroupEntropy
from mcukit.precision.memory_steps import MemoryStep, memory_steps
from mcukit.precision.vdqs import VdqsChoice, search_vdqs, stage_groups
from mcukit.quantized.precision import widest_choice
from tests.float_networks import BLOCK, classifier, dataflow

GRAPH = classifier()
FREE = ("conv2d0", "depthwise_conv2d1", "conv2d2", "add3", "conv2d4", "mean5", "conv2d6")
ENTROPIES = {
    group: GroupEntropy(6.0, {8: 6.0, 4: 5.0 - 0.5 * index, 2: 2.0 - 0.2 * index})
    for index, group in enumerate(widest_choice(GRAPH))
}


def steps() -> tuple[MemoryStep, ...]:
    flow = dataflow(GRAPH)
    names = tuple(layer.name for layer in flow.layers)
    stages = (Stage(names[:BLOCK], 2, 2, Halo.RECOMPUTED), Stage(names[BLOCK:]))
    return memory_steps(GRAPH, flow, partition(flow, stages, pushed=False))


def search(budget: int | None = None, entropy_weight: float = 0.5) -> VdqsChoice:
    return search_vdqs(BitopsCost(GRAPH), ENTROPIES, steps(), budget, entropy_weight=entropy_weight)


def bits_of(choice: VdqsChoice) -> dict[str, int]:
    return {group: choice.precision.maps.get(group, 8) for group in FREE}


def test_scores_are_normalized_over_all_maps_and_widths() -> None:
    choice = search(entropy_weight=0.3)
    per_bit = BitopsCost(GRAPH).of_readers({})
    scores = {(score.group, score.bits): score for score in choice.scores}

    assert {group for group, _ in scores} == set(FREE)
    assert max(score.saving for score in choice.scores) == max(score.loss for score in choice.scores) == 1.0
    assert all(score.saving == score.loss == score.score == 0.0 for score in choice.scores if score.bits == 8)
    largest = max(per_bit[group] * 6 for group in FREE)
    losses = {key: ENTROPIES[key[0]].loss(key[1]) for key in scores}
    for (group, bits), score in scores.items():
        saving, loss = per_bit[group] * (8 - bits) / largest, losses[group, bits] / max(losses.values())
        assert score.score == pytest.approx(0.7 * saving - 0.3 * loss)


def test_without_memory_every_map_has_its_best_score() -> None:
    for entropy_weight in (0.1, 0.3, 0.5, 0.7):
        choice = search(entropy_weight=entropy_weight)
        found = bits_of(choice)
        for group in FREE:
            scores = {score.bits: score.score for score in choice.scores if score.group == group}
            assert scores[found[group]] == max(scores.values())
        assert choice.lowered == ()


def test_lambda_goes_from_all_narrow_to_all_wide() -> None:
    # No layer that counts reads the map before the addition, so that nothing is saved by narrowing it.
    assert set(bits_of(search(entropy_weight=0.0)).values()) == {2, 8}
    assert set(bits_of(search(entropy_weight=1.0)).values()) == {8}
    reductions = [search(entropy_weight=weight / 10).bitops.reduction for weight in range(11)]
    assert reductions == sorted(reductions, reverse=True)
    assert reductions[0] > 1.8
    assert reductions[-1] == 1.0


def test_maps_are_narrowed_until_all_layers_fit() -> None:
    free, budget = search(entropy_weight=0.7), 1900
    choice = search(budget, entropy_weight=0.7)

    assert free.peak_bytes > budget >= choice.peak_bytes
    assert choice.peak_bytes == max(step.bytes(choice.precision.maps) for step in steps())
    assert choice.lowered
    # Undoing what was done last would not fit.
    last = choice.lowered[-1]
    undone = {**choice.precision.maps, last.group: last.bits[0]}
    assert max(step.bytes(undone) for step in steps()) > budget


def test_the_cheapest_change_comes_first() -> None:
    choice = search(1900, entropy_weight=0.7)
    first = choice.lowered[0]
    scores = {(score.group, score.bits): score.score for score in choice.scores}
    start = bits_of(search(entropy_weight=0.7))
    step = next(step for step in steps() if step.bytes(start) > 1900)
    narrower = {group: {8: 4, 4: 2}[start[group]] for group in step.groups() if group in FREE and start[group] > 2}
    costs = {group: scores[group, start[group]] - scores[group, bits] for group, bits in narrower.items()}

    assert first.layer == step.layer
    assert costs[first.group] == min(costs.values())


def test_everything_that_cannot_fit_is_named_with_what_is_missing() -> None:
    narrowest = dict.fromkeys(FREE, 2)
    needs: dict[str, int] = {}
    for step in steps():
        needs[step.layer] = max(needs.get(step.layer, 0), step.bytes(narrowest))
    budget = sorted(needs.values())[-2]
    with pytest.raises(McukitError) as caught:
        search(budget - 1)
    short = {layer: size for layer, size in needs.items() if size >= budget}

    assert [problem.code for problem in caught.value.problems] == ["budget-exceeded"] * len(short)
    for problem in caught.value.problems:
        layer = next(name for name in short if f"'{name}'" in problem.where)
        assert f"by {short[layer] - budget + 1:,}," in problem.message


def test_only_the_named_maps_are_narrowed() -> None:
    flow = dataflow(GRAPH)
    names = tuple(layer.name for layer in flow.layers)
    tiles = partition(flow, (Stage(names[:BLOCK], 2, 2, Halo.RECOMPUTED), Stage(names[BLOCK:])), pushed=False)
    groups = stage_groups(GRAPH, flow, tiles[:1])
    choice = search_vdqs(BitopsCost(GRAPH), ENTROPIES, steps(), None, entropy_weight=0.0, groups=groups)

    assert groups == ("conv2d0", "depthwise_conv2d1", "conv2d2", "add3")
    assert set(choice.precision.maps) == {"conv2d0", "depthwise_conv2d1", "add3"}


def test_no_map_goes_below_the_narrowest_width() -> None:
    least = max(step.bytes(dict.fromkeys(FREE, 4)) for step in steps())
    cost = BitopsCost(GRAPH)
    choice = search_vdqs(cost, ENTROPIES, steps(), least, entropy_weight=0.0, narrowest=4)
    assert set(choice.precision.maps.values()) == {4}
    assert choice.peak_bytes == least
    search_vdqs(cost, ENTROPIES, steps(), least - 1)
    with pytest.raises(McukitError, match="even at the narrowest"):
        search_vdqs(cost, ENTROPIES, steps(), least - 1, narrowest=4)


def test_narrow_weights_count_and_stay() -> None:
    weights = {"conv2d4": 4}
    choice = search_vdqs(BitopsCost(GRAPH), ENTROPIES, (), None, entropy_weight=1.0, weights=weights)
    assert choice.precision.weights == weights
    assert choice.bitops.reduction > 1.0


@pytest.mark.parametrize("entropy_weight", [-0.1, 1.5, float("nan")])
def test_lambda_is_a_share(entropy_weight: float) -> None:
    with pytest.raises(McukitError, match="0 to 1"):
        search(entropy_weight=entropy_weight)
