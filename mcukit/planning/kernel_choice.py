# SPDX-License-Identifier: Apache-2.0
"""Which set's kernel computes each layer: the one that was measured to take the fewest instructions.

Kernels written in a core's own instructions prepare more before they begin. That pays for nearly all layers; where
there is little to compute from what was prepared, such as in depthwise convolutions of maps of 3x3, it does not.
"""

from __future__ import annotations

__all__ = ["KernelEstimate", "choose_kernels", "kernel_estimates", "with_chosen_kernel"]

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from mcukit.graph.graph import Graph
from mcukit.graph.region import whole_region
from mcukit.planning.costs import CostTable
from mcukit.quantized.integer import IntegerModel, Kernel, Layer, own_constants
from mcukit.quantized.kernel_sets import KernelSet, sets_up_to


@dataclass(frozen=True)
class KernelEstimate:
    """What one set's kernel takes for a whole layer in one call.

    instructions: estimated. error: of the estimate, over the shapes that the kernel was measured on, in percent.
    """

    function: str
    instructions: int
    error: float


def choose_kernels(model: IntegerModel, costs: CostTable) -> IntegerModel:
    """The same arithmetic, each layer with the kernel that takes fewest instructions by the costs of a core.

    A layer takes that of the model's own set or of one before it, which runs on the same cores. An earlier set's is
    taken only where it saves more than both estimates err, and never where it would need more constants in flash.
    Layers are judged as computed in one call; kernels that were not measured on the core are not chosen from.
    """
    layers = tuple(with_chosen_kernel(layer, model.graph, costs, model.kernels) for layer in model.layers)
    branches = model.branches
    if branches is not None:
        wide = {narrow.name: layer.kernel for layer, narrow in zip(layers, branches.layers, strict=False)}
        narrow = tuple(
            with_chosen_kernel(layer, branches.graph, costs, model.kernels, wide[layer.name])
            for layer in branches.layers
        )
        branches = replace(branches, layers=narrow)
    return replace(model, layers=layers, branches=branches)


def with_chosen_kernel(
    layer: Layer, graph: Graph, costs: CostTable, kernels: KernelSet, shared: Kernel | None = None
) -> Layer:
    """One layer as `choose_kernels` gives it.

    graph: that it is a node of. kernels: the last set that the core runs. shared: of the layer's other form, whose
    constants it reads where they are equal.
    """
    own = _with_set(layer, kernels)
    forms = _forms(own, graph, costs, kernels)
    of_own = [estimate for form, estimate in forms if own.kernel and estimate.function == own.kernel.function]
    if own.kernel is None or not of_own:
        return own
    allowed = _constant_bytes(own.kernel, shared)
    best, least = own, of_own[0].instructions * (1 - of_own[0].error / 100)
    for form, other in forms:
        most = other.instructions * (1 + other.error / 100)
        if form.kernel is not None and most < least and _constant_bytes(form.kernel, shared) <= allowed:
            best, least = form, other.instructions
    return best


def kernel_estimates(
    layer: Layer, graph: Graph, costs: CostTable, kernels: KernelSet
) -> Mapping[KernelSet, KernelEstimate]:
    """What the kernels for a layer take, by the first set that each is in, of `kernels` and the sets before it.

    graph: that the layer is a node of. Empty for views; without kernels that were not measured.
    """
    return {form.kernels: estimate for form, estimate in _forms(layer, graph, costs, kernels)}


def _forms(layer: Layer, graph: Graph, costs: CostTable, kernels: KernelSet) -> Sequence[tuple[Layer, KernelEstimate]]:
    """The layer with each kernel that there is for it, from the first set on."""
    region = whole_region(graph.tensors[layer.output])
    forms: dict[str, tuple[Layer, KernelEstimate]] = {}
    for each in sets_up_to(kernels):
        form = _with_set(layer, each)
        function = form.kernel.function if form.kernel else ""
        # Sets without a kernel of their own have that of an earlier one.
        if function not in forms and function in costs.kernels:
            instructions = costs.instructions(form, graph, region)
            forms[function] = form, KernelEstimate(function, instructions, costs.kernels[function].mean_error)
    return tuple(forms.values())


def _with_set(layer: Layer, kernels: KernelSet) -> Layer:
    """The layer itself where it has that set: its kernel may be known already."""
    return layer if layer.kernels is kernels else replace(layer, kernels=kernels)


def _constant_bytes(kernel: Kernel, shared: Kernel | None) -> int:
    arrays = kernel.constants if shared is None else own_constants(shared, kernel)
    return sum(array.bytes for array in arrays)
