# SPDX-License-Identifier: Apache-2.0
"""Kernels that need less memory, for a network that does not fit with those that take fewest instructions.

Kernels written in a core's own instructions expand what they read into working memory, and compute several rows at
once. Where a few hundred bytes are missing, layers at which most memory is in use can do without.
"""

from __future__ import annotations

__all__ = ["plan_that_fits", "plan_with_lean_kernels", "with_lean_kernels"]

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from mcukit.errors import McukitError
from mcukit.planning.costs import CostTable
from mcukit.planning.kernel_choice import kernel_estimates
from mcukit.quantized.integer import IntegerModel, Layer, other_kernels, with_kernels
from mcukit.quantized.kernel_sets import KernelSet, sets_up_to

Found = TypeVar("Found")
"""What a search finds: a plan, or a plan with what is known of it."""


def with_lean_kernels(model: IntegerModel, costs: CostTable) -> IntegerModel:
    """The network with the kernels of least memory in all layers; among those of equal memory the quickest."""
    return _with_sets(model, _lean_sets(model, costs))


def plan_that_fits(
    model: IntegerModel, costs: CostTable, search: Callable[[IntegerModel], Found], *, settle: bool = True
) -> tuple[IntegerModel, Found]:
    """The network and its plan, as it is where that fits; else what `plan_with_lean_kernels` gives, and raises."""
    fitting = _found(model, {}, search)
    return plan_with_lean_kernels(model, costs, search, settle=settle) if fitting is None else fitting


def plan_with_lean_kernels(
    model: IntegerModel, costs: CostTable, search: Callable[[IntegerModel], Found], *, settle: bool = True
) -> tuple[IntegerModel, Found]:
    """The network with kernels of less memory for few layers, and its plan.

    search: finds a plan within a budget, or raises McukitError "budget-exceeded". settle: whether layers keep what
    takes fewer instructions as far as the network fits; without, any plan that fits will do.
    Raises McukitError "budget-exceeded" where it does not even fit with the kernels of least memory in all layers.
    """
    lean = _lean_sets(model, costs)
    found = _with_sets(model, lean), search(_with_sets(model, lean))
    if not settle:
        return found
    # The largest working memory first: mostly a layer or two are in the way.
    names = sorted(lean, key=lambda name: lean[name].released, reverse=True)
    fewest, most = 0, len(names)
    while most - fewest > 1:
        middle = (fewest + most) // 2
        fitting = _found(model, {name: lean[name] for name in names[:middle]}, search)
        if fitting is None:
            fewest = middle
        else:
            most, found = middle, fitting
    return _settled(model, {name: lean[name] for name in names[:most]}, found, search)


def _settled(
    model: IntegerModel,
    lean: Mapping[str, _Lean],
    found: tuple[IntegerModel, Found],
    search: Callable[[IntegerModel], Found],
) -> tuple[IntegerModel, Found]:
    """Gives layers back what they had, those first that save most, until none can have it any more.

    Layers go back all at once where that fits, or else by halves; what did not fit may do so after others.
    """
    kept, best = dict(lean), found
    before = len(kept) + 1
    while len(kept) < before:
        before = len(kept)
        pending = [sorted(kept, key=lambda name: lean[name].saved, reverse=True)]
        while pending:
            names = pending.pop()
            fewer = {name: each for name, each in kept.items() if name not in names}
            # With none of them the network does not fit.
            fitting = _found(model, fewer, search) if fewer else None
            if fitting is not None:
                kept, best = fewer, fitting
            elif len(names) > 1:
                half = len(names) // 2
                pending += [names[half:], names[:half]]
    return best


def _found(
    model: IntegerModel, lean: Mapping[str, _Lean], search: Callable[[IntegerModel], Found]
) -> tuple[IntegerModel, Found] | None:
    changed = _with_sets(model, lean)
    try:
        return changed, search(changed)
    except McukitError as error:
        if error.problems[0].code != "budget-exceeded":
            raise
        return None


def _with_sets(model: IntegerModel, lean: Mapping[str, _Lean]) -> IntegerModel:
    sets = {name: each.kernels for name, each in lean.items()}
    return with_kernels(model, model.kernels, {**other_kernels(model), **sets})


@dataclass(frozen=True)
class _Lean:
    """The set with a layer's kernel of least memory.

    released: bytes of working memory, then rows at once. saved: instructions that the kernel which the layer has saves.
    """

    kernels: KernelSet
    released: tuple[int, int]
    saved: int


def _lean_sets(model: IntegerModel, costs: CostTable) -> dict[str, _Lean]:
    """By layer, where that is another set than the layer's."""
    allowed = sets_up_to(model.kernels)
    found = {}
    for layer in model.steps:
        estimates = kernel_estimates(layer, model.graph_of(layer), costs, model.kernels).values()
        instructions = {estimate.function: estimate.instructions for estimate in estimates}
        needs = {kernels: _needs(layer, kernels, instructions) for kernels in allowed}
        best, own = min(allowed, key=needs.__getitem__), needs[layer.kernels]
        if needs[best][:2] < own[:2]:
            released = own[0] - needs[best][0], own[1] - needs[best][1]
            found[layer.name] = _Lean(best, released, needs[best][2] - own[2])
    return found


def _needs(layer: Layer, kernels: KernelSet, instructions: Mapping[str, int]) -> tuple[int, int, int]:
    """Working memory in bytes, rows that are computed at once, and instructions, 0 where they were not measured."""
    kernel = (layer if kernels is layer.kernels else replace(layer, kernels=kernels)).kernel
    if kernel is None:
        return 0, 1, 0
    return kernel.scratch_bytes, kernel.rows_together, instructions.get(kernel.function, 0)
