# SPDX-License-Identifier: Apache-2.0
"""The content of report.json."""

from __future__ import annotations

__all__ = ["REPORT_SCHEMA", "PatchedFacts", "TfliteFacts", "report_content"]

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from mcukit.boards import Board
from mcukit.emulation.cycles import CycleEstimate
from mcukit.emulation.measure import Measurement
from mcukit.planning.choose import Planned
from mcukit.planning.costs import CostTable, load_costs
from mcukit.planning.dataflow import Dataflow
from mcukit.planning.kernel_choice import kernel_estimates
from mcukit.planning.plan import DEFAULT_REGION, Plan
from mcukit.planning.receptive_field import ReceptiveField, StageWork, receptive_fields, stage_work
from mcukit.planning.regions import linked_weights
from mcukit.planning.schedule import partition
from mcukit.planning.search import FoundPlan
from mcukit.precision.quantmcu import branch_bitops
from mcukit.precision.vdpc import PatchClasses
from mcukit.quantized.integer import IntegerModel, Layer
from mcukit.report.core import core_content
from mcukit.report.cycles import cycles_content
from mcukit.report.metrics import ErrorMetrics
from mcukit.report.precision import layer_bitops, narrow_content, precision_content, tile_shares
from mcukit.report.regions import region_content

REPORT_SCHEMA = 1


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


def report_content(  # noqa: PLR0913 - one for each source of facts
    model: IntegerModel,
    planned: Planned,
    *,
    board: Board | None,
    budget: Mapping[str, int | None],
    calibrated: bool,
    errors: Mapping[str, ErrorMetrics],
    tflite: TfliteFacts,
    measurement: Measurement | None,
    classes: PatchClasses | None = None,
) -> dict[str, Any]:
    """Fields of the report, schema 1.

    errors: of maps by tensor name, where they were measured. measurement: on the board's core, if that was possible.
    classes: of the patches of a model with branches, where calibration images told them apart. Where a device decides
    by values, BitOPs count each tile as often wide as it was in those images; without them, always.
    """
    plan = planned.plan
    flow = Dataflow(model)
    stages = partition(flow, plan.stages, plan.pushed)
    work = [stage_work(flow, tiles) for tiles in stages]
    shares = tile_shares(model.branches, classes) if model.branches else None
    wide = shares.wide if shares else None
    bitops = round(branch_bitops(model, stages, wide))
    layers = _layers(model, flow, errors, measurement, work, layer_bitops(flow, stages, wide))
    costs = load_costs(planned.target)
    for entry, layer in zip(layers, model.layers, strict=True):
        entry["kernel_estimates"] = _estimates(model, layer, costs)
    sram, flash = budget["sram"], budget["flash"]
    fits_sram = sram is None or plan.arena_bytes <= sram
    flash_bytes = measurement.code_bytes + measurement.weight_bytes if measurement else model.weight_bytes
    fits_flash = flash is None or flash_bytes <= flash
    return {
        "schema": REPORT_SCHEMA,
        "name": model.name,
        "model": model.name,
        "board": None if board is None else board.id,
        "core": core_content(board),
        "kernels": model.kernels.value,
        "kernel_costs": planned.target,
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
        "bitops": bitops,
        "arena_bytes": plan.arena_bytes,
        "arenas": dict(plan.arenas),
        "pushed_arena_bytes": plan.arena_bytes if plan.pushed else None,
        "weight_bytes": model.weight_bytes,
        "tflite": asdict(tflite),
        "accuracy": None,
        "precision": precision_content(model, bitops, shares, classes),
        "budget": {"sram": sram, "flash": flash, "fits_sram": fits_sram, "fits_flash": fits_flash},
        "regions": None if board is None else _regions(board, flow, plan, measurement),
        "emulation": None if measurement is None else _emulation(measurement, board),
        "layers": layers,
    }


def _input_range(model: IntegerModel) -> list[float] | None:
    """The real values that the network's input can express."""
    quantization = model.input.quantization
    if quantization is None:
        return None
    scale, zero_point = quantization.tensor_scale, quantization.zero_point
    return [scale * (quantization.minimum - zero_point), scale * (quantization.maximum - zero_point)]


def _regions(board: Board, flow: Dataflow, plan: Plan, measurement: Measurement | None) -> list[dict[str, Any]]:
    arenas = {board.default_region if name == DEFAULT_REGION else name: used for name, used in plan.arenas.items()}
    weights = linked_weights(flow, plan.weights, board.code_region)
    return region_content(board, arenas, weights, None if measurement is None else measurement.code_bytes)


def _emulation(measurement: Measurement, board: Board | None) -> dict[str, Any]:
    cycles = measurement.cycles
    estimate = None if cycles is None or board is None else CycleEstimate(board.id, board.clock_hz, cycles)
    return {
        "target": measurement.target,
        "compiler": measurement.compiler,
        "instructions": measurement.instructions,
        "stack_bytes": measurement.stack_bytes,
        "code_bytes": measurement.code_bytes,
        "weight_bytes": measurement.weight_bytes,
        "static_ram_bytes": measurement.static_ram_bytes,
        "estimated_cycles": None if estimate is None else cycles_content(estimate),
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


def _layers(
    model: IntegerModel,
    flow: Dataflow,
    errors: Mapping[str, ErrorMetrics],
    measurement: Measurement | None,
    work: Sequence[StageWork],
    bitops: Mapping[str, float],
) -> list[dict[str, Any]]:
    """In the model's order. narrow: of layers with a second form, None behind them, missing without branches."""
    counts = measurement.layers if measurement else {}
    fields = receptive_fields(model)
    again = {layer.layer: layer.macs_redundant for stage in work for layer in stage.layers}
    forms = {ours.name: theirs for ours, theirs in zip(flow.layers, flow.narrow, strict=False)}
    layers = []
    for layer in model.layers:
        entry = _layer(model, layer, fields[layer.output], errors.get(layer.output), counts.get(layer.name))
        entry["macs_redundant"] = again.get(layer.name, 0)
        entry["bitops"] = round(bitops.get(layer.name, 0))
        if model.branches:
            form = forms.get(layer.name)
            entry["narrow"] = None if form is None else narrow_content(form, counts.get(form.name))
        layers.append(entry)
    return layers


def _estimates(model: IntegerModel, layer: Layer, costs: CostTable) -> dict[str, dict[str, int]]:
    """What the kernels for a layer take, by function: in one call, in one for each row, and of memory."""
    found = kernel_estimates(layer, model.graph, costs, model.kernels)
    return {
        each.function: {
            "instructions": each.instructions,
            "instructions_row_by_row": each.row_by_row,
            "scratch_bytes": each.scratch_bytes,
        }
        for each in found.values()
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
    kernel, form = layer.kernel, layer.output_form
    weights = [t.quantization for t in tensors if t.data is not None and t.quantization and t.quantization.bits <= 8]
    return {
        "name": layer.name,
        "op": layer.node.operator.op_name,
        "kernel": kernel.function if kernel else None,
        "inputs": list(layer.inputs),
        "output": layer.output,
        "output_shape": list(output.shape),
        "receptive_field": [field.rows, field.columns],
        "macs": macs,
        "input_bits": layer.forms[0].bits,
        "output_bits": form.bits,
        "weight_bits": weights[0].bits if weights else None,
        "weight_bytes": sum(constant.bytes for constant in kernel.constants) if kernel else 0,
        "map_bytes": form.height * form.row_bytes,
        "instructions": instructions,
        "error": None if error is None else asdict(error),
    }
