# SPDX-License-Identifier: Apache-2.0
"""The content of report.json."""

from __future__ import annotations

__all__ = ["REPORT_SCHEMA", "PatchedFacts", "TfliteFacts", "report_content"]

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from mcukit.boards import Board
from mcukit.emulation.measure import Measurement
from mcukit.planning.choose import Planned
from mcukit.planning.dataflow import Dataflow
from mcukit.planning.receptive_field import ReceptiveField, StageWork, receptive_fields, stage_work
from mcukit.planning.schedule import partition
from mcukit.planning.search import FoundPlan
from mcukit.quantized.integer import IntegerModel, Layer
from mcukit.report.metrics import ErrorMetrics

REPORT_SCHEMA = 1

PORTABLE = "portable"
"""The kernel set that every target has."""


@dataclass(frozen=True)
class PatchedFacts:
    """The .tflite file whose first layers run tile by tile.

    bytes: of the file. tflm_arena_bytes, tflm_head_bytes: what TFLM's interpreter allocates, and the part of that which
    holds tensors; None if that was not measured. macs_redundant: multiply-accumulates that tiles compute again.
    operators: of the file.
    """

    bytes: int
    tflm_arena_bytes: int | None
    tflm_head_bytes: int | None
    macs_redundant: int
    operators: int


@dataclass(frozen=True)
class TfliteFacts:
    """bytes: of the file. tflm_arena_bytes: what TFLM's interpreter allocates, None if that was not measured.

    patched: the file in tiles, None unless it was asked for.
    """

    bytes: int
    tflm_arena_bytes: int | None
    patched: PatchedFacts | None = None


def report_content(
    model: IntegerModel,
    planned: Planned,
    *,
    board: Board | None,
    budget: Mapping[str, int | None],
    calibrated: bool,
    errors: Mapping[str, ErrorMetrics],
    tflite: TfliteFacts | None,
    measurement: Measurement | None,
) -> dict[str, Any]:
    """Fields of the report, schema 1.

    errors: of maps by tensor name, where they were measured. measurement: on the board's core, if that was possible.
    """
    plan = planned.plan
    counts = measurement.layers if measurement else {}
    fields = receptive_fields(model)
    layers = [
        _layer(model, layer, fields[layer.output], errors.get(layer.output), counts.get(layer.name))
        for layer in model.layers
    ]
    flow = Dataflow(model)
    work = [stage_work(flow, tiles) for tiles in partition(flow, plan.stages, plan.pushed)]
    sram, flash = budget["sram"], budget["flash"]
    fits_sram = sram is None or plan.arena_bytes <= sram
    flash_bytes = measurement.code_bytes + measurement.weight_bytes if measurement else model.weight_bytes
    fits_flash = flash is None or flash_bytes <= flash
    return {
        "schema": REPORT_SCHEMA,
        "name": model.name,
        "model": model.name,
        "board": None if board is None else board.id,
        "kernels": PORTABLE if board is None else board.kernels,
        "plan": {
            "schedule": plan.schedule,
            "pushed": plan.pushed,
            "stages": [_stage(stage) for stage in work],
            "requested": planned.requested,
            "search": None if planned.found is None else _search(planned.found, planned.target),
        },
        "calibrated": calibrated,
        "input_shape": list(model.input.shape),
        "input_range": _input_range(model),
        "output_shapes": [list(tensor.shape) for tensor in model.outputs],
        "macs": sum(layer["macs"] for layer in layers),
        "macs_redundant": sum(stage.macs_redundant for stage in work),
        "bitops": sum(layer["bitops"] for layer in layers),
        "arena_bytes": plan.arena_bytes,
        "arenas": dict(plan.arenas),
        "pushed_arena_bytes": plan.arena_bytes if plan.pushed else None,
        "weight_bytes": model.weight_bytes,
        "tflite": None if tflite is None else asdict(tflite),
        "accuracy": None,
        "budget": {"sram": sram, "flash": flash, "fits_sram": fits_sram, "fits_flash": fits_flash},
        "emulation": None if measurement is None else _emulation(measurement),
        "layers": layers,
    }


def _input_range(model: IntegerModel) -> list[float] | None:
    """The real values that the network's input can express."""
    quantization = model.input.quantization
    if quantization is None:
        return None
    scale, zero_point = quantization.tensor_scale, quantization.zero_point
    return [scale * (quantization.minimum - zero_point), scale * (quantization.maximum - zero_point)]


def _emulation(measurement: Measurement) -> dict[str, Any]:
    return {
        "target": measurement.target,
        "compiler": measurement.compiler,
        "instructions": measurement.instructions,
        "stack_bytes": measurement.stack_bytes,
        "code_bytes": measurement.code_bytes,
        "weight_bytes": measurement.weight_bytes,
        "static_ram_bytes": measurement.static_ram_bytes,
    }


def _search(found: FoundPlan, target: str) -> dict[str, Any]:
    """What the search for the plan says of it. Instructions are estimated from the target's cost table."""
    return {
        "target": target,
        "estimated_instructions": found.instructions,
        "lower_bound_instructions": found.bound,
        "optimal": found.optimal,
    }


def _stage(work: StageWork) -> dict[str, Any]:
    """macs: each pixel once, as in the network. macs_redundant: what tiles compute again beside that."""
    stage = work.stage
    return {
        "schedule": stage.schedule,
        "layers": list(stage.layers),
        "grid": [stage.tile_rows, stage.tile_columns],
        "halo": stage.halo.value,
        "macs": work.macs,
        "macs_redundant": work.macs_redundant,
    }


def _layer(
    model: IntegerModel,
    layer: Layer,
    field: ReceptiveField,
    error: ErrorMetrics | None,
    instructions: int | None,
) -> dict[str, Any]:
    tensors = model.graph.node_inputs(layer.node)
    output = model.graph.tensors[layer.output]
    macs = layer.node.operator.macs(tensors, output)
    kernel = layer.kernel
    source = model.graph.tensors[layer.inputs[0]].quantization
    weights = [t.quantization for t in tensors if t.data is not None and t.quantization and t.quantization.bits <= 8]
    input_bits = source.bits if source else 8
    weight_bits = weights[0].bits if weights else None
    return {
        "name": layer.name,
        "op": layer.node.operator.op_name,
        "inputs": list(layer.inputs),
        "output": layer.output,
        "output_shape": list(output.shape),
        "receptive_field": [field.rows, field.columns],
        "macs": macs,
        "bitops": macs * input_bits * (weight_bits or 8),
        "input_bits": input_bits,
        "output_bits": output.quantization.bits if output.quantization else 8,
        "weight_bits": weight_bits,
        "weight_bytes": sum(constant.bytes for constant in kernel.constants) if kernel else 0,
        "map_bytes": output.elements,
        "instructions": instructions,
        "error": None if error is None else asdict(error),
    }
