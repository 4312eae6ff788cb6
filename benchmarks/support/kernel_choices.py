# SPDX-License-Identifier: Apache-2.0
"""Which kernel layers get by the tables of costs, beside what each one takes: on shapes that no table was made of."""

from __future__ import annotations

__all__ = ["CHOICE_SHAPES", "CHOICE_TARGETS", "Choice", "count_choices", "render_choices", "render_chosen_kernels"]

from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.support.kernel_counts import count_layers, network_of
from benchmarks.support.markdown import ABSENT, table
from benchmarks.support.shaped import SAME_3X3, Shaped, conv, depthwise, fully_connected
from mcukit.ops.activation import RELU6
from mcukit.ops.average_pool import AveragePool
from mcukit.ops.max_pool import MaxPool
from mcukit.ops.mean import Mean
from mcukit.ops.mul import Mul
from mcukit.ops.window import Window
from mcukit.planning.costs import load_costs
from mcukit.planning.kernel_choice import with_chosen_kernel
from mcukit.quantized.integer import IntegerModel, with_kernels
from mcukit.quantized.kernel_sets import KernelSet, first_set_with, sets_up_to
from mcukit.workflow.kernels import kernels_for_target

CHOICE_TARGETS = ("cortex-m4", "cortex-m55")

_POINT, _SAME = Window((1, 1)), Window((3, 3), pads=SAME_3X3)
_BY_2 = Window((3, 3), (2, 2), pads=SAME_3X3)

CHOICE_SHAPES = {
    # Layers of usual sizes.
    "conv2d 1x1, 24 to 40 channels, 20x20": conv((20, 20, 24), 40, _POINT),
    "conv2d 3x3 by 2, 3 to 12 channels, 40x40": conv((40, 40, 3), 12, _BY_2),
    "depthwise_conv2d 3x3, 48 channels, 14x14": depthwise((14, 14, 48), _SAME),
    "depthwise_conv2d 3x3, 80 channels, 3x3": depthwise((3, 3, 80), _SAME),
    "fully_connected 200 to 6": fully_connected((1, 200), 6),
    "average_pool 4x4, 24 channels": Shaped(AveragePool(Window((4, 4))), ((1, 4, 4, 24),)),
    "max_pool 3x3 by 2, 12 channels, 16x16": Shaped(MaxPool(_BY_2), ((1, 16, 16, 12),)),
    "mean 5x5, 72 channels": Shaped(Mean(), ((1, 5, 5, 72),)),
    "mul 20 channels, 9x9 by 1x1": Shaped(Mul(), ((1, 9, 9, 20), (1, 1, 1, 20))),
    # Little to compute.
    "conv2d 1x1, 2 to 3 channels, 1x2": conv((1, 2, 2), 3, _POINT),
    "conv2d 3x3, 2 to 3 channels, 2x2": conv((2, 2, 2), 3, _SAME),
    "conv2d 1x1, 4 to 2 channels, 6x6": conv((6, 6, 4), 2, _POINT),
    "depthwise_conv2d 3x3, 2 channels, 2x3": depthwise((2, 3, 2), _SAME),
    "depthwise_conv2d 3x3, 6 channels, 1x1": depthwise((1, 1, 6), _SAME),
    "depthwise_conv2d 3x3, 3 channels, 5x2": depthwise((5, 2, 3), _SAME),
    "depthwise_conv2d 5x1, 2 channels, 16x1": depthwise((16, 1, 2), Window((5, 1), pads=(2, 0, 2, 0))),
    "fully_connected 12 to 1": fully_connected((1, 12), 1),
    "average_pool 2x2, 2 channels": Shaped(AveragePool(Window((2, 2))), ((1, 2, 2, 2),)),
    "mean 1x2, 3 channels": Shaped(Mean(), ((1, 1, 2, 3),)),
    # Fewer bits.
    "conv2d 1x1, 24 to 40 channels, 10x10, 4 bits": conv((10, 10, 24), 40, _POINT, bits=(4, 4, 4)),
    "conv2d 1x1, 16 to 24 channels, 10x10, weights of 2 bits": conv((10, 10, 16), 24, _POINT, bits=(8, 8, 2)),
    "conv2d 1x1, 48 to 16 channels, 8x8, 2 bits": conv((8, 8, 48), 16, _POINT, bits=(2, 2, 2)),
    "conv2d 3x3, 3 to 8 channels, 12x12, 4 bits": conv((12, 12, 3), 8, _SAME, bits=(8, 4, 8)),
    "conv2d 3x3 in 4 groups, 12 to 8 channels, 8x8, 4 bits": conv((8, 8, 12), 8, _SAME, 4, (4, 4, 4)),
    "depthwise_conv2d 3x3, 32 channels, 12x12, 4 bits": depthwise((12, 12, 32), _SAME, bits=(4, 4, 4)),
    "depthwise_conv2d 3x3, 5 channels, 2x2, 2 bits": depthwise((2, 2, 5), _SAME, bits=(2, 2, 2)),
    "fully_connected 30 to 4, 4 bits": fully_connected((1, 30), 4, (4, 8, 4)),
    "fully_connected 150 to 10, weights of 2 bits": fully_connected((1, 150), 10, (8, 8, 2)),
    "max_pool 2x2 by 2, 32 channels, 12x12, 2 bits": Shaped(
        MaxPool(Window((2, 2), (2, 2)), RELU6), ((1, 12, 12, 32),), bits=(2, 2, 8)
    ),
}


@dataclass(frozen=True)
class Choice:
    """One shape. counts: exact instructions of each kernel that there is for it, by function.

    own: that of the target's own set. chosen: the one that a network gets.
    """

    counts: Mapping[str, int]
    own: str
    chosen: str


def count_choices(target: str) -> dict[str, Choice]:
    """What a target's kernels take, for every one of CHOICE_SHAPES. Raises what run_on_target raises."""
    model, layers = network_of(tuple(CHOICE_SHAPES.values()))
    sets = _sets(target)
    counts: dict[str, dict[str, int]] = {layer: {} for layer in layers}
    own: dict[str, str] = {}
    for kernels in sets:
        form = with_kernels(model, kernels)
        counted, own = count_layers(form, target), _functions(form)
        for layer in layers:
            counts[layer].setdefault(own[layer], sum(counted[layer].values()))
    costs = load_costs(target)
    layers_chosen = (with_chosen_kernel(layer, model.graph, costs, sets[-1]) for layer in model.layers)
    chosen = {layer.name: layer.kernel.function for layer in layers_chosen if layer.kernel}
    return {
        name: Choice(counts[layer], own[layer], chosen[layer])
        for name, layer in zip(CHOICE_SHAPES, layers, strict=True)
    }


def render_chosen_kernels() -> str:
    """Both sections, with what they are. Raises what run_on_target raises."""
    sections = "\n\n".join(render_choices(target, count_choices(target)) for target in CHOICE_TARGETS)
    return f"""# Kernels that layers get

Each layer of a network gets the kernel that takes fewest instructions by the core's table of costs, of the core's own
set and of those before it. Here is what they do take, counted in the emulator on shapes that no table was made of.
of own: what the layer takes, as a part of what the core's own kernel would take.

{sections}
"""


def render_choices(target: str, choices: Mapping[str, Choice]) -> str:
    """The section about a target: what `count_choices` found, where there are several kernels."""
    rows = [(name, *_row(choice, target)) for name, choice in choices.items() if len(choice.counts) > 1]
    heads = ("layer", *_sets(target), "chosen", "of own")
    return f"## Kernels chosen on {target}\n\n{table(heads, rows, texts=1)}"


def _sets(target: str) -> tuple[KernelSet, ...]:
    """Those that the target's core runs."""
    return sets_up_to(kernels_for_target(target))


def _functions(model: IntegerModel) -> dict[str, str]:
    return {layer.name: layer.kernel.function for layer in model.steps if layer.kernel}


def _row(choice: Choice, target: str) -> tuple[str, ...]:
    by_set = {first_set_with(function): count for function, count in choice.counts.items()}
    counts = (f"{by_set[kernels]:,}" if kernels in by_set else ABSENT for kernels in _sets(target))
    share = choice.counts[choice.chosen] / choice.counts[choice.own]
    return (*counts, first_set_with(choice.chosen), f"{share:.2f}")
