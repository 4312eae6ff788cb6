# SPDX-License-Identifier: Apache-2.0
"""The kernels in plan.json: the network's set, and layers that take those of another one.

Where a plan does not mention kernels, or was made for another set and gives no places, they are chosen by what they
cost. Places belong to the kernels that they were made for: without a word about these, to those of the network's set.
"""

from __future__ import annotations

__all__ = [
    "PLACES",
    "PlanKernels",
    "kernels_from_file",
    "kernels_to_json",
    "places_in",
    "read_kernels",
    "with_plan_kernels",
]

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mcukit.errors import McukitError, Problem
from mcukit.json_object import JsonObject, read_json
from mcukit.quantized.integer import IntegerModel, other_kernels, with_kernels
from mcukit.quantized.kernel_sets import KERNEL_SETS, KernelSet, sets_up_to

_EXPECTED = f"one of {', '.join(KERNEL_SETS)}"

PLACES = ("arenas", "maps", "scratch")
"""What says where buffers lie; all of it belongs together."""


@dataclass(frozen=True)
class PlanKernels:
    """network: the set that the plan was made for; None where it does not say. layers: those of other sets, by name.

    has_places: whether the plan says where buffers lie, which depends on kernels.
    """

    network: KernelSet | None = None
    layers: Mapping[str, KernelSet] = field(default_factory=dict)
    has_places: bool = False


def kernels_to_json(model: IntegerModel) -> dict[str, object]:
    """What plan.json says of a model's kernels."""
    layers = [{"layer": name, "set": kernels.value} for name, kernels in other_kernels(model).items()]
    return {"kernels": {"set": model.kernels.value, "others": layers}}


def kernels_from_file(path: Path) -> PlanKernels | None:
    """The kernels that a plan.json asks for; None where it leaves them to whoever reads it.

    Raises McukitError "unreadable-file" and "invalid-file".
    """
    file = JsonObject(read_json(path), str(path), [])
    kernels = read_kernels(file)
    file.raise_problems()
    return kernels


def read_kernels(file: JsonObject) -> PlanKernels | None:
    """The same from parsed JSON; what is wrong is noted in the file's problems."""
    has_places = bool(places_in(file))
    if not file.has("kernels"):
        return PlanKernels(has_places=True) if has_places else None
    entry = file.nested("kernels")
    network = KernelSet(_set(entry) or KernelSet.PORTABLE)
    layers: dict[str, KernelSet] = {}
    for other in entry.objects("others") if entry.has("others") else ():
        name = other.text("layer")
        if name in layers:
            other.problem("layer", "stands in the list twice", "take one of the two out")
        layers[name] = KernelSet(_set(other) or KernelSet.PORTABLE)
        other.refuse_unknown()
    entry.refuse_unknown()
    return PlanKernels(network, layers, has_places)


def places_in(file: JsonObject) -> list[str]:
    """Which of PLACES a plan.json has."""
    return [key for key in PLACES if file.has(key)]


def _set(entry: JsonObject) -> str:
    return entry.text("set", "|".join(KERNEL_SETS), _EXPECTED)


def with_plan_kernels(model: IntegerModel, kernels: PlanKernels | None, where: str) -> IntegerModel:
    """The model with what a plan says of its kernels, at `where`; as it is where that is nothing.

    Raises McukitError "bad-plan" with all layers that there are not, or whose kernels the model's cores don't run, and
    for places that were made for another set.
    """
    if kernels is None:
        return model
    if kernels.network not in (None, model.kernels):
        if not kernels.has_places:
            return model
        raise McukitError(
            "bad-plan",
            f"its places were made for {kernels.network} kernels, and the network has {model.kernels} ones",
            where=f"{where}: kernels.set",
            hint="take kernels, arenas, maps and scratch out of the plan, and everything is placed anew",
        )
    steps = {layer.name for layer in model.steps}
    problems = []
    for position, (name, chosen) in enumerate(kernels.layers.items()):
        if name not in steps:
            message = f"there is no layer '{name}' that computes anything"
        elif chosen not in sets_up_to(model.kernels):
            message = f"'{name}' can't have {chosen} kernels in a network with {model.kernels} ones"
        else:
            continue
        problems.append(Problem("bad-plan", message, f"{where}: kernels.others[{position}]", "take it out of the list"))
    if problems:
        raise McukitError.collect(problems)
    return with_kernels(model, model.kernels, kernels.layers)
