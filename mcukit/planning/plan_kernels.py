# SPDX-License-Identifier: Apache-2.0
"""The kernels in plan.json: layers that take those of another set than their network.

Where a plan does not mention kernels, they are chosen by what they cost.
"""

from __future__ import annotations

__all__ = ["kernels_from_file", "kernels_to_json", "read_kernels", "with_plan_kernels"]

from collections.abc import Mapping
from pathlib import Path

from mcukit.errors import McukitError, Problem
from mcukit.json_object import JsonObject, read_json
from mcukit.quantized.integer import IntegerModel, other_kernels, with_kernels
from mcukit.quantized.kernel_sets import KERNEL_SETS, KernelSet, sets_up_to


def kernels_to_json(model: IntegerModel) -> dict[str, object]:
    """What plan.json says of a model's kernels; an empty list where all layers have those of the network's set."""
    return {"kernels": [{"layer": name, "set": kernels.value} for name, kernels in other_kernels(model).items()]}


def kernels_from_file(path: Path) -> Mapping[str, KernelSet] | None:
    """The sets that a plan.json asks for, by layer; None where it does not mention them.

    Raises McukitError "unreadable-file" and "invalid-file".
    """
    file = JsonObject(read_json(path), str(path), [])
    kernels = read_kernels(file)
    file.raise_problems()
    return kernels


def read_kernels(file: JsonObject) -> Mapping[str, KernelSet] | None:
    """The same from parsed JSON; what is wrong is noted in the file's problems."""
    if not file.has("kernels"):
        return None
    found: dict[str, KernelSet] = {}
    for entry in file.objects("kernels"):
        name = entry.text("layer")
        if name in found:
            entry.problem("layer", "stands in the list twice", "take one of the two out")
        chosen = entry.text("set", "|".join(KERNEL_SETS), f"one of {', '.join(KERNEL_SETS)}")
        found[name] = KernelSet(chosen or KernelSet.PORTABLE)
        entry.refuse_unknown()
    return found


def with_plan_kernels(model: IntegerModel, kernels: Mapping[str, KernelSet] | None, where: str) -> IntegerModel:
    """The model with what a plan says of its kernels, at `where`; as it is where that is nothing.

    Raises McukitError "bad-plan" with all layers that there are not, or whose kernels the model's cores don't run.
    """
    if kernels is None:
        return model
    steps = {layer.name for layer in model.steps}
    problems = []
    for position, (name, chosen) in enumerate(kernels.items()):
        place = f"{where}: kernels[{position}]"
        if name not in steps:
            problems.append(Problem("bad-plan", f"there is no layer '{name}'", place, "take it out of the list"))
        elif chosen not in sets_up_to(model.kernels):
            message = f"'{name}' can't have {chosen} kernels in a network with {model.kernels} ones"
            problems.append(Problem("bad-plan", message, place, f"take it out of the list, or use --kernels {chosen}"))
    if problems:
        raise McukitError.collect(problems)
    return with_kernels(model, model.kernels, kernels)
