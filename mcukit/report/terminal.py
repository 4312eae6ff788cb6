# SPDX-License-Identifier: Apache-2.0
"""What each result looks like to a person at a terminal: lines and tables, drawn by the command line."""

from __future__ import annotations

__all__ = [
    "build_view",
    "difference_text",
    "emulation_view",
    "evaluation_view",
    "inspection_view",
    "verification_view",
]

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mcukit.quantities import counted
from mcukit.report.banner import banner_facts
from mcukit.report.bits import has_bits, map_bits, precision_facts, weight_bits
from mcukit.report.blocks import Block, Column, Facts, Line, Table
from mcukit.report.core import estimate_facts, kernels_text
from mcukit.report.cycles import CYCLE_MEANINGS, cycles_content, cycles_text
from mcukit.report.regions import region_facts
from mcukit.report.units import ABSENT, count, percent, ratio, shape, short_name, size

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from mcukit.workflow.emulate import Emulation
    from mcukit.workflow.evaluate import Evaluation
    from mcukit.workflow.inspect import Inspection
    from mcukit.workflow.verify import Difference, Verification

_SHOWN_VALUES = 12


def inspection_view(inspection: Inspection) -> list[Block]:
    """Layers and totals, and everything that is not supported."""
    blocks: list[Block] = [Line(inspection.name, "title")]
    if inspection.layers:
        columns = (
            Column("layer"),
            Column("operator", whole=True),
            Column("output", whole=True),
            Column("MACs", right=True),
            Column("weights B", right=True),
            Column("map B", right=True),
        )
        rows = tuple(
            (
                short_name(layer.name),
                layer.op,
                shape(layer.output_shape),
                count(layer.macs),
                count(layer.weight_bytes),
                count(layer.map_bytes),
            )
            for layer in inspection.layers
        )
        blocks += [Table(columns, rows), Line("")]
    if not inspection.supported:
        number = len(inspection.problems)
        blocks.append(Line(f"not supported: {number} {'reason' if number == 1 else 'reasons'}", "bad"))
        return blocks + [Line(line) for problem in inspection.problems for line in str(problem).splitlines()]
    facts = (
        ("input", shape(inspection.input_shape)),
        ("outputs", ", ".join(shape(dimensions) for dimensions in inspection.output_shapes)),
        ("multiply-accumulates", count(inspection.macs)),
        ("parameters", count(inspection.parameters)),
    )
    return [*blocks, Facts(facts), Line("every operator is supported", "good")]


def build_view(content: Mapping[str, Any]) -> list[Block]:
    """The content of report.json: the figures that decide, then every layer."""
    budget = content["budget"]
    low, high = content["input_range"]
    facts = [
        ("network input", f"{ratio(low)} to {ratio(high)}, after scale, mean and std"),
        ("SRAM for maps", _against(content["arena_bytes"], budget["sram"])),
        ("flash for weights", _against(content["weight_bytes"], budget["flash"])),
        ("multiply-accumulates", count(content["macs"])),
        ("schedule", _schedule(content)),
        ("kernels", kernels_text(content)),
    ]
    facts.extend(_tflite(content["tflite"]))
    if content["board"]:
        facts.insert(0, ("board", content["board"]))
    if has_bits(content):
        facts.extend(precision_facts(content))
    facts.extend(estimate_facts(content))
    emulation = content["emulation"]
    if emulation is not None:
        facts.append((f"instructions on {emulation['target']}", count(emulation["instructions"])))
        if emulation.get("estimated_cycles"):
            facts.append(("time of an inference", cycles_text(emulation["estimated_cycles"])))
        facts.append(("flash for code", size(emulation["code_bytes"])))
        facts.append(("stack", size(emulation["stack_bytes"])))
    facts.extend(region_facts(content.get("regions") or ()))
    return [
        Line(content["name"], "title"),
        _layer_table(content["layers"], bits=has_bits(content)),
        Line(""),
        Facts(tuple(facts)),
    ]


def _tflite(tflite: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The file for TensorFlow Lite Micro, if there is one."""
    facts = [(".tflite file", size(tflite["bytes"]))]
    if tflite["tflm_arena_bytes"] is not None:
        facts.append(("TFLM's arena for it", f"{size(tflite['tflm_arena_bytes'])} on a 64-bit host"))
    if tflite.get("patched"):
        facts.extend(_patched(tflite))
    return facts


def _patched(tflite: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The .tflite file in tiles beside the plain one."""
    patched = tflite["patched"]
    facts = [("patched .tflite file", f"{size(patched['bytes'])}, {counted(patched['operators'], 'operator')}")]
    if patched["tflm_arena_bytes"] is not None:
        saved = 1 - patched["tflm_arena_bytes"] / tflite["tflm_arena_bytes"]
        again = f"{count(patched['macs_redundant'])} MACs computed again"
        facts.append(("TFLM's arena for that", f"{size(patched['tflm_arena_bytes'])}, {saved:.0%} less, {again}"))
    return facts


def _schedule(content: Mapping[str, Any]) -> str:
    """What the plan is, what it computes again, and how good it is."""
    plan, search = content["plan"], content["plan"]["search"]
    parts = [plan["schedule"] + (", rows of the input pushed" if plan["pushed"] else "")]
    if content["macs_redundant"]:
        parts.append(f"{count(content['macs_redundant'])} MACs computed again")
    if search is None:
        parts.append(f"as {plan['requested']} says")
    elif plan["requested"] == "auto":
        gap = search["estimated_instructions"] / max(search["lower_bound_instructions"], 1) - 1
        parts.append("optimal" if search["optimal"] else f"at most {percent(100 * gap)} from optimal")
    return "; ".join(parts)


def _layer_table(layers: Sequence[Mapping[str, Any]], *, bits: bool) -> Table:
    """A row per layer; columns that no layer has a figure for are left out. bits: whether not all are 8."""
    columns = [
        (Column("layer"), [short_name(layer["name"]) for layer in layers]),
        (Column("operator", whole=True), [layer["op"] for layer in layers]),
        (Column("output", whole=True), [shape(layer["output_shape"]) for layer in layers]),
        (Column("MACs", right=True), [count(layer["macs"]) for layer in layers]),
        (Column("weights B", right=True), [count(layer["weight_bytes"]) for layer in layers]),
        (Column("map B", right=True), [count(layer["map_bytes"]) for layer in layers]),
    ]
    if bits:
        columns[4:4] = [
            (Column("BitOPs", right=True), [count(layer["bitops"]) for layer in layers]),
            (Column("map bits", right=True), [map_bits(layer) for layer in layers]),
            (Column("weight bits", right=True), [weight_bits(layer) for layer in layers]),
        ]
    if any(layer["instructions"] is not None for layer in layers):
        columns.append((Column("instructions", right=True), [count(layer["instructions"]) for layer in layers]))
    for title, metric in (("RMSE", "rmse"), ("MAE", "mae"), ("L2r", "l2r"), ("cosine", "cosine")):
        if any(layer["error"] for layer in layers):
            texts = [ratio(layer["error"][metric]) if layer["error"] else ABSENT for layer in layers]
            columns.append((Column(title, right=True), texts))
    return Table(tuple(column for column, _ in columns), tuple(zip(*(texts for _, texts in columns), strict=True)))


def evaluation_view(evaluation: Evaluation) -> list[Block]:
    """Accuracy beside the float network's."""
    rows = [("top-1", percent(evaluation.top1), percent(evaluation.float_top1))]
    if evaluation.top5 is not None:
        rows.append(("top-5", percent(evaluation.top5), percent(evaluation.float_top5)))
    columns = (Column("accuracy"), Column("integers", right=True), Column("float", right=True))
    facts = [("executor", evaluation.target), ("images", count(evaluation.n))]
    if evaluation.agreement is not None:
        facts.append(("same answer as float", percent(evaluation.agreement)))
    if evaluation.error is not None:
        facts.append(("output RMSE", ratio(evaluation.error.rmse)))
        facts.append(("output MAE", ratio(evaluation.error.mae)))
        facts.append(("output L2 relative", ratio(evaluation.error.l2r)))
        facts.append(("output cosine", f"{evaluation.error.cosine:.5f}"))
    return [Table(columns, tuple(rows)), Line(""), Facts(tuple(facts))]


def emulation_view(emulation: Emulation) -> list[Block]:
    """Instructions of each layer, and memory. What the target can't measure is left out."""
    facts = [
        ("target", emulation.target),
        ("instructions", count(emulation.instructions)),
        ("SRAM for maps", size(emulation.arena_bytes)),
        ("other static SRAM", size(emulation.static_ram_bytes)),
        ("stack", size(emulation.stack_bytes)),
        ("flash for code", size(emulation.code_bytes)),
        ("flash for weights", size(emulation.weight_bytes)),
    ]
    if emulation.estimate is not None:
        facts.insert(2, (f"time on {emulation.estimate.board}", cycles_text(cycles_content(emulation.estimate))))
        waits = emulation.estimate.classes.items()
        facts[3:3] = [(f"  {CYCLE_MEANINGS[name]}", count(number)) for name, number in waits]
    blocks: list[Block] = [_emulated_layers(emulation), Line("")] if emulation.layers else []
    if emulation.instruction_classes:
        facts += [(f"  {name}", count(number)) for name, number in emulation.instruction_classes.items()]
    facts += [(f"output {short_name(name)}", _values(found[-1])) for name, found in emulation.all_outputs.items()]
    return [*blocks, Facts(tuple((name, value) for name, value in facts if value != ABSENT))]


def _emulated_layers(emulation: Emulation) -> Table:
    timed = emulation.estimate is not None
    columns = [
        Column("layer"),
        Column("operator", whole=True),
        Column("instructions", right=True),
        Column("share", right=True),
        Column("MACs", right=True),
        Column("per MAC", right=True),
    ]
    if timed:
        columns.append(Column("cycles, estimated", right=True))
    total = sum(layer.instructions for layer in emulation.layers) or 1
    rows = []
    for layer in emulation.layers:
        row = [
            short_name(layer.name),
            layer.op,
            count(layer.instructions),
            f"{100 * layer.instructions / total:.1f} %",
            count(layer.macs),
            f"{layer.instructions / layer.macs:.2f}" if layer.macs else ABSENT,
        ]
        rows.append((*row, count(layer.cycles)) if timed else tuple(row))
    return Table(tuple(columns), tuple(rows))


def _values(output: npt.NDArray[np.int8]) -> str:
    """The bytes of an output, as many as are read at a glance."""
    shown = ", ".join(map(str, output[:_SHOWN_VALUES]))
    return shown if len(output) <= _SHOWN_VALUES else f"{shown}, ... ({counted(len(output), 'value')})"


def verification_view(verification: Verification) -> list[Block]:
    """One line: equal, or where the first byte differs."""
    number = verification.layers_compared
    layers = f"{counted(number, 'layer')} compared" if number else "outputs alone"
    compared = f"{counted(verification.inputs, 'input')}, {layers}"
    blocks: list[Block]
    if verification.equal:
        blocks = [Line(f"{verification.target}: every byte is equal to the reference ({compared})", "good")]
        if verification.unreached:
            names = ", ".join(f"'{short_name(name)}'" for name in verification.unreached)
            blocks.append(Line(f"  these inputs computed nothing of {names}: give others with --data", "warning"))
        return blocks + _firmware(verification)
    blocks = [Line(f"{verification.target}: NOT EQUAL to the reference ({compared})", "bad")]
    if verification.first_difference is not None:
        blocks.append(Line(f"  first difference: {difference_text(verification.first_difference)}"))
    return blocks + _firmware(verification)


def _firmware(verification: Verification) -> list[Block]:
    """What ran, where that was a board."""
    return [] if verification.banner is None else [Facts(tuple(banner_facts(verification.banner)))]


def difference_text(difference: Difference) -> str:
    """Where a byte differs, in words."""
    place = f"row {difference.row}, column {difference.column}, channel {difference.channel}"
    return (
        f"input {difference.input}, layer '{difference.layer}', {place}: "
        f"{difference.expected} expected, {difference.found} found"
    )


def _against(used: int, budget: int | None) -> str:
    if budget is None:
        return size(used)
    excess = "" if used <= budget else ": TOO MUCH"
    return f"{size(used)} of {size(budget)}, {100 * used / budget:.1f} %{excess}"
