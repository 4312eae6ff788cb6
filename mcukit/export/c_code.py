# SPDX-License-Identifier: Apache-2.0
"""Readable C of a planned integer model: NAME.h, NAME.c and NAME_weights.{h,c}."""

from __future__ import annotations

__all__ = ["generate_c"]

from collections import Counter
from collections.abc import Sequence
from typing import Any

import mcukit
from mcukit.calibration.preprocessing import Preprocessing
from mcukit.export.c_layers import LayerWriter
from mcukit.export.c_maps import map_initializer
from mcukit.export.c_names import ModelNames
from mcukit.export.c_stages import stage_context
from mcukit.export.names import comment_text
from mcukit.export.rendering import templates
from mcukit.graph.graph import Tensor, map_shape
from mcukit.planning.dataflow import Dataflow
from mcukit.planning.plan import DEFAULT_REGION, Plan
from mcukit.planning.schedule import partition
from mcukit.planning.tiles import StageTiles
from mcukit.quantities import counted
from mcukit.quantized.integer import IntegerModel


def generate_c(model: IntegerModel, plan: Plan, preprocessing: Preprocessing | None = None) -> dict[str, str]:
    """File contents by file name. Identifiers are made from the model's names; comments hold these as they were.

    Raises McukitError "bad-stage" for a plan of another model.
    """
    flow = Dataflow(model)
    stages = partition(flow, plan.stages, plan.pushed)
    names = ModelNames(flow, plan, stages)
    context = _context(flow, plan, stages, names) | {
        "formula": None if preprocessing is None else preprocessing.formula()
    }
    files = {
        f"{names.model}.h": "model.h.j2",
        f"{names.model}.c": "model.c.j2",
        f"{names.model}_weights.h": "weights.h.j2",
        f"{names.model}_weights.c": "weights.c.j2",
    }
    return {file: templates().get_template(template).render(context) for file, template in files.items()}


def _context(flow: Dataflow, plan: Plan, stages: Sequence[StageTiles], names: ModelNames) -> dict[str, Any]:
    """What the templates print."""
    writer = LayerWriter(flow, plan, names)
    staged = [
        stage_context(flow, names, tiles, number, plan.pushed and number == 0)
        | {"layers": [form for index in range(tiles.first, tiles.last) for form in writer.contexts(index, tiles)]}
        for number, tiles in enumerate(stages)
    ]
    model = flow.model
    layers, macs = counted(len(flow.layers), "layer"), counted(sum(flow.macs), "multiply-accumulate")
    title = f"{comment_text(model.name)}: {layers}, {macs}."
    return {
        "banner": f"Written by mcukit {mcukit.__version__}. Do not edit: quantize the model again instead.",
        "title": title,
        "kernels": model.kernels.value,
        "name": names.model,
        "macro": names.model.upper(),
        "headers": _headers(model),
        "arena_bytes": plan.arena_bytes,
        "arenas": [_arena(plan, names, region) for region in plan.arenas],
        "weight_bytes": model.weight_bytes,
        "layer_count": len(model.steps),
        "layer_kernels": _layer_kernels(model),
        "stages": staged,
        "arrays": writer.arrays,
        "pushed": plan.pushed,
        "input_map": map_initializer(flow, plan, names, model.input.name),
        "input_is_read": any(model.input.name in layer.inputs for layer in flow.layers),
        "views": [
            {
                "identifier": names.map(name),
                "initializer": map_initializer(flow, plan, names, name),
                "comment": comment_text(name),
            }
            for name in flow.views
            if any(name in layer.inputs for layer in flow.layers)
        ],
        "input": _interface(plan, names, model.input, 0, 1) | {"rows": plan.maps[model.input.name].rows},
        "outputs": [
            _interface(plan, names, tensor, index, len(model.outputs)) for index, tensor in enumerate(model.outputs)
        ],
    }


def _headers(model: IntegerModel) -> list[str]:
    functions = {layer.kernel.function for layer in model.steps if layer.kernel}
    tested = model.branches is not None and model.branches.test is not None
    return sorted(
        {"mcukit_nn.h", "mk_layer_hooks.h", *(f"{function}.h" for function in functions), *(["mk_outliers.h"] * tested)}
    )


def _layer_kernels(model: IntegerModel) -> list[str]:
    """How many layers each kernel computes, the most first: "14 mk_conv2d_s8", "1 mk_mean_s8"."""
    functions = Counter(layer.kernel.function for layer in model.steps if layer.kernel)
    return [f"{number} {name}" for name, number in sorted(functions.items(), key=lambda item: (-item[1], item[0]))]


def _arena(plan: Plan, names: ModelNames, region: str) -> dict[str, Any]:
    """One region's arena. The end of its last buffer is checked by the C compiler."""
    places = [place for place in (*plan.maps.values(), *plan.scratch.values()) if place.region == region]
    last = max(places, key=lambda place: place.end)
    several = len(plan.arenas) > 1
    return {
        "name": names.arena(region),
        "region": "" if region == DEFAULT_REGION else region,
        "macro": f"ARENA_{region.upper()}_BYTES" if several else "ARENA_BYTES",
        "bytes": plan.arenas[region],
        "last_offset": last.offset,
        "last_bytes": last.bytes,
    }


def _interface(plan: Plan, names: ModelNames, tensor: Tensor, index: int, count: int) -> dict[str, Any]:
    """An input or output of the network. With several outputs each has its number."""
    if tensor.quantization is None:
        raise ValueError(f"'{tensor.name}' is not quantized")
    height, width, channels = map_shape(tensor.shape)
    suffix = "" if index == 0 or count == 1 else f"_{index}"
    return {
        "height": height,
        "width": width,
        "channels": channels,
        "bytes": tensor.elements,
        "row_bytes": width * channels,
        "scale": f"{tensor.quantization.tensor_scale!r}f",
        "zero_point": tensor.quantization.zero_point,
        "suffix": suffix,
        "suffix_macro": suffix,
        "comment": comment_text(tensor.name),
        "data": names.address(plan.maps[tensor.name]),
    }
