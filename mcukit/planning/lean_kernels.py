# SPDX-License-Identifier: Apache-2.0
"""Kernels that need less memory, for a network that does not fit with those that take fewest instructions.

Kernels written in a core's own instructions expand what they read into working memory, and compute several rows at
once. Where a few hundred bytes are missing, layers at which most memory is in use can do without.
"""

from __future__ import annotations

__all__ = ["plan_with_lean_kernels", "with_lean_kernels"]

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


def with_lean_kernels(model: IntegerModel) -> IntegerModel:
    """The network with the kernels of least memory in all layers."""
    return _with_sets(model, _lean_sets(model))


def plan_with_lean_kernels(
    model: IntegerModel, costs: CostTable, search: Callable[[IntegerModel], Found], *, settle: bool = True
) -> tuple[IntegerModel, Found]:
    """The network with kernels of less memory for as few layers as is found, and its plan.

    search: finds a plan within a budget, or raises McukitError "budget-exceeded". settle: whether layers keep what
    takes fewer instructions as far as the network fits; without, any plan that fits will do.
    Raises McukitError "budget-exceeded" where it does not even fit with the kernels of least memory in all layers.
    """
    lean = _lean_sets(model)
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
    return _settled(model, {name: lean[name] for name in names[:most]}, found, costs, search)


def _settled(
    model: IntegerModel,
    lean: Mapping[str, _Lean],
    found: tuple[IntegerModel, Found],
    costs: CostTable,
    search: Callable[[IntegerModel], Found],
) -> tuple[IntegerModel, Found]:
    """Gives layers back what they had, those first that save most: all at once where that fits, or else by halves."""
    saved = _saved(model, lean, costs)
    kept, best = dict(lean), found
    pending = [sorted(lean, key=saved.__getitem__, reverse=True)]
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
    """The set with a layer's kernel of least memory. released: bytes of working memory, then rows at once."""

    kernels: KernelSet
    released: tuple[int, int]


def _lean_sets(model: IntegerModel) -> dict[str, _Lean]:
    """By layer, where that is another set than the layer's."""
    allowed = sets_up_to(model.kernels)
    found = {}
    for layer in model.steps:
        needs = {kernels: _memory(layer, kernels) for kernels in allowed}
        best = min(allowed, key=needs.__getitem__)
        own = needs[layer.kernels]
        if needs[best] < own:
            found[layer.name] = _Lean(best, (own[0] - needs[best][0], own[1] - needs[best][1]))
    return found


def _memory(layer: Layer, kernels: KernelSet) -> tuple[int, int]:
    """Working memory in bytes, and rows that are computed at once."""
    kernel = (layer if kernels is layer.kernels else replace(layer, kernels=kernels)).kernel
    return (0, 1) if kernel is None else (kernel.scratch_bytes, kernel.rows_together)


def _saved(model: IntegerModel, lean: Mapping[str, _Lean], costs: CostTable) -> dict[str, int]:
    """Instructions that the kernels which layers have save beside the lean ones, by layer."""
    saved = {}
    for layer in model.steps:
        if layer.name in lean:
            estimates = kernel_estimates(layer, model.graph_of(layer), costs, model.kernels).values()
            by_name = {estimate.function: estimate.instructions for estimate in estimates}
            forms = (layer, replace(layer, kernels=lean[layer.name].kernels))
            own, other = (by_name.get(form.kernel.function, 0) if form.kernel else 0 for form in forms)
            saved[layer.name] = other - own
    return saved
