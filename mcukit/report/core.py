# SPDX-License-Identifier: Apache-2.0
"""What a report says of the board's core and the kernels for it.

Whether the core can be emulated, whose costs its plan was made with, and how many layers the set of kernels is for.
"""

from __future__ import annotations

__all__ = ["core_content", "core_facts", "estimate_facts", "kernel_choice_text", "kernels_text"]

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mcukit.quantized.kernel_sets import KernelSet, first_set_with
from mcukit.report.units import count, size

if TYPE_CHECKING:
    from mcukit.boards import Board


def core_content(board: Board | None) -> dict[str, Any] | None:
    """The fields of report.json; None without a board.

    emulation_target: null where nothing emulates the core, and not_emulated says why. costs: the core whose measured
    costs plans are made with; stand_in: whether that is another core.
    """
    if board is None:
        return None
    return {
        "name": board.core,
        "emulation_target": board.emulation_target,
        "not_emulated": board.not_emulated,
        "costs": board.cost_target,
        "stand_in": board.costs_stand_in,
    }


def core_facts(core: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The fields of `core_content` for people."""
    emulated = core["emulation_target"] or f"nothing: {core['not_emulated']}"
    costs = f"{core['costs']}, measured in the emulator"
    if core["stand_in"]:
        costs = f"{core['costs']}, in place of those of {core['name']}: instructions are rough estimates"
    return [("emulated by", emulated), ("plans with costs of", costs)]


def kernels_text(content: Mapping[str, Any]) -> str:
    """The set of kernels and, unless all of them are its own, from which sets those of how many layers are."""
    chosen: str = content["kernels"]
    # A report that was made before kernels were named has none.
    functions = [layer["kernel"] for layer in content["layers"] if layer.get("kernel")]
    layers = Counter(first_set_with(function).value for function in functions)
    if set(layers) <= {chosen}:
        return chosen
    parts = [f"{number} {name}" for name, number in layers.most_common()]
    left = Counter(filter(None, map(_left_set, content["layers"])))
    unused = [f"; {number} more could have {name} kernels" for name, number in left.most_common()]
    return f"{chosen}; of {len(functions)} layers {', '.join(parts)}{''.join(unused)}"


def _left_set(layer: Mapping[str, Any]) -> str | None:
    """The last set that has another kernel for a layer, which was not chosen for it."""
    sets = list(KernelSet)
    known = map(first_set_with, layer.get("kernel_estimates") or ())
    last = max(known, key=sets.index, default=None)
    return None if last in (None, first_set_with(layer["kernel"] or "")) else last


def kernel_choice_text(layer: Mapping[str, Any]) -> str:
    """What a layer's kernel was chosen from, estimated for the whole layer."""
    estimates = layer.get("kernel_estimates") or {}
    return "; ".join(
        f"{function}: {count(each['instructions'])} instructions, {count(each['instructions_row_by_row'])} row by row, "
        f"{size(each['scratch_bytes'])} of scratch memory"
        for function, each in estimates.items()
    )


def estimate_facts(content: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Instructions as the plan's search estimates them, of a build for a board that was not measured."""
    core, search = content.get("core"), content["plan"]["search"]
    if core is None or search is None or content.get("emulation"):
        return []
    value = f"about {count(search['estimated_instructions'])}, estimated with costs of {core['costs']}"
    return [("instructions", f"{value} in place of {core['name']}" if core["stand_in"] else value)]
