# SPDX-License-Identifier: Apache-2.0
"""Which set's kernel computes each layer: the one that was measured to take the fewest instructions.

Kernels written in a core's own instructions prepare more before they begin. That pays for nearly all layers; where
there is little to compute from what was prepared, such as in depthwise convolutions of maps of 3x3, it does not.
"""

from __future__ import annotations

__all__ = ["KernelEstimate", "choose_kernels", "kernel_estimates", "with_chosen_kernel"]

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from mcukit.graph.graph import Graph
from mcukit.graph.region import whole_region
from mcukit.planning.costs import CostTable
from mcukit.quantized.integer import IntegerModel, Kernel, Layer, own_constants
from mcukit.quantized.kernel_sets import KernelSet, sets_up_to

_WORTH = 0.01
"""What a function that no layer would have otherwise must save of a network's instructions to be worth its code."""


@dataclass(frozen=True)
class KernelEstimate:
    """What one set's kernel takes for a whole layer.

    instructions: estimated, in one call; row_by_row: in a call for each row, as streams have it. error: of estimates
    over the shapes that the kernel was measured on, in percent. scratch_bytes: working memory.
    """

    function: str
    instructions: int
    row_by_row: int
    error: float
    scratch_bytes: int

    def saves_beside(self, other: KernelEstimate) -> bool:
        """Whether it takes fewer instructions, by more than both estimates err, whatever the plan."""
        most, least = 1 + self.error / 100, 1 - other.error / 100
        return (
            self.instructions * most < other.instructions * least and self.row_by_row * most < other.row_by_row * least
        )


def choose_kernels(model: IntegerModel, costs: CostTable) -> IntegerModel:
    """The same arithmetic, each layer with the kernel that takes fewest instructions by the costs of a core.

    A layer takes that of the model's own set or of one before it, which runs on the same cores. An earlier set's is
    taken where it saves more than both estimates err, in one call and row by row, and needs no more constants in flash;
    and where the function saves a hundredth of the network's instructions, unless some layer has it anyway: it is more
    code. Kernels that were not measured on the core are not chosen from.
    """
    left_out: set[str] = set()
    while True:
        chosen = _with_choice(model, costs, left_out)
        useless = _not_worth_their_code(model, chosen, costs)
        if not useless:
            return chosen
        left_out |= useless


def kernel_estimates(
    layer: Layer, graph: Graph, costs: CostTable, kernels: KernelSet
) -> Mapping[KernelSet, KernelEstimate]:
    """What the kernels for a layer take, by the first set that each is in, of `kernels` and the sets before it.

    graph: that the layer is a node of. Empty for views; without kernels that were not measured.
    """
    return {form.kernels: estimate for form, estimate in _forms(layer, graph, costs, kernels)}


def with_chosen_kernel(
    layer: Layer,
    graph: Graph,
    costs: CostTable,
    kernels: KernelSet,
    shared: Kernel | None = None,
    left_out: Collection[str] = (),
) -> Layer:
    """One layer as `choose_kernels` gives it where code does not matter.

    graph: that it is a node of. kernels: the last set that the core runs. shared: of the layer's other form, whose
    constants it reads where they are equal. left_out: functions that are not chosen from.
    """
    own = _with_set(layer, kernels)
    forms = _forms(own, graph, costs, kernels)
    of_own = [estimate for _, estimate in forms if own.kernel and estimate.function == own.kernel.function]
    if own.kernel is None or not of_own:
        return own
    allowed = _constant_bytes(own.kernel, shared)
    better = [
        (estimate.instructions, position)
        for position, (form, estimate) in enumerate(forms)
        if estimate.saves_beside(of_own[0])
        and estimate.function not in left_out
        and form.kernel is not None
        and _constant_bytes(form.kernel, shared) <= allowed
    ]
    return forms[min(better)[1]][0] if better else own


def _with_choice(model: IntegerModel, costs: CostTable, left_out: Collection[str]) -> IntegerModel:
    layers = tuple(
        with_chosen_kernel(layer, model.graph, costs, model.kernels, left_out=left_out) for layer in model.layers
    )
    branches = model.branches
    if branches is not None:
        wide = {narrow.name: layer.kernel for layer, narrow in zip(layers, branches.layers, strict=False)}
        narrow = tuple(
            with_chosen_kernel(layer, branches.graph, costs, model.kernels, wide[layer.name], left_out)
            for layer in branches.layers
        )
        branches = replace(branches, layers=narrow)
    return replace(model, layers=layers, branches=branches)


def _not_worth_their_code(model: IntegerModel, chosen: IntegerModel, costs: CostTable) -> set[str]:
    """Functions that layers would not have of the model's own set, and that save too little."""
    own = [_with_set(layer, model.kernels) for layer in model.steps]
    functions = {layer.kernel.function for layer in own if layer.kernel}
    saved: Counter[str] = Counter()
    total = 0
    for before, after in zip(own, chosen.steps, strict=True):
        graph = chosen.graph_of(after)
        region = whole_region(graph.tensors[before.output])
        instructions = costs.instructions(before, graph, region)
        total += instructions
        if after.kernel is not None and after.kernel.function not in functions:
            saved[after.kernel.function] += instructions - costs.instructions(after, graph, region)
    return {function for function, instructions in saved.items() if instructions < _WORTH * total}


def _forms(layer: Layer, graph: Graph, costs: CostTable, kernels: KernelSet) -> Sequence[tuple[Layer, KernelEstimate]]:
    """The layer with each kernel that there is for it, from the first set on."""
    region = whole_region(graph.tensors[layer.output])
    forms: dict[str, tuple[Layer, KernelEstimate]] = {}
    for each in sets_up_to(kernels):
        form = _with_set(layer, each)
        kernel = form.kernel
        # Sets without a kernel of their own have that of an earlier one.
        if kernel is None or kernel.function in forms or kernel.function not in costs.kernels:
            continue
        cost = costs.for_layer(form, graph)
        estimate = KernelEstimate(
            kernel.function,
            cost.instructions(region),
            cost.instructions(region, region.rows),
            costs.kernels[kernel.function].mean_error,
            kernel.scratch_bytes,
        )
        forms[kernel.function] = form, estimate
    return tuple(forms.values())


def _with_set(layer: Layer, kernels: KernelSet) -> Layer:
    """The layer itself where it has that set: its kernel may be known already."""
    return layer if layer.kernels is kernels else replace(layer, kernels=kernels)


def _constant_bytes(kernel: Kernel, shared: Kernel | None) -> int:
    arrays = kernel.constants if shared is None else own_constants(shared, kernel)
    return sum(array.bytes for array in arrays)
