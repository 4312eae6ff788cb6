# SPDX-License-Identifier: Apache-2.0
"""The page of benchmarks/quantmcu.py."""

from __future__ import annotations

__all__ = ["render"]

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.support.markdown import ABSENT, table

PAPER = 2.2
"""Times fewer BitOPs than int8 in patches, as the paper reports on average."""

_INTRODUCTION = """\
QuantMCU as reconstructed (VDPC and VDQS after Tao et al. 2024, weights of 8 bits, no repair) and mcukit's search
(measured sensitivity, maps and weights, weights rounded by what they do to their layer, ranges map by map, streamed),
against int8 in the fewest patches that fit the budget.

BitOPs count what patches compute again; *fewer* is against int8 in patches. Arena and flash (weights) are bytes;
instructions are estimated from the DSP kernels as measured on an emulated Cortex-M4. Top-1 is that of the generated C;
*against float* and *against int8* are differences in points on the same images with their 95 % intervals, *agreement*
how often the configuration and the float network name the same class, *KL* the divergence of class probabilities from
float's in nats. Rows of the measured search are chosen by the error on calibration images alone; *least error that
fits* is the first step whose arena is at most 60 % of that of int8 with rows pushed and lean kernels. Those are the
kernels of least memory: layers have them where a configuration aims at fewer bytes and does not fit otherwise."""

_HEADS = (
    "configuration", "MMAC", "MBitOPs", "fewer", "arena", "flash", "M instructions", "top-1", "against float",
    "against int8", "agreement", "KL",
)  # fmt: skip


def render(results: Mapping[str, Any]) -> str:
    """Markdown."""
    parts = ["# Mixed precision", _INTRODUCTION]
    for network in results["networks"]:
        parts += _network(network)
    parts.append(f"{results['compiler']}; {results['emulator']}.")
    return "\n\n".join(parts) + "\n"


def _network(network: Mapping[str, Any]) -> list[str]:
    base = next(trial for trial in network["int8"] if trial["name"] == "int8, patches")
    rows, columns = network["grid"]
    images, top1 = base["accuracy"]["images"], base["accuracy"]["float_top1"]
    own = [*network["int8"], *network["best"]]
    text = (
        f"{images} images, float top-1 {top1:.2f} %. The patches of int8: {rows} x {columns} over the first "
        f"{network['patch_layers']} layers, within {network['budget']:,} bytes."
    )
    return [
        f"## {network['title']}",
        text,
        _table(own, base),
        "### QuantMCU as reconstructed",
        *(_quantmcu(network["quantmcu"]) if network["quantmcu"] else ["Not measured."]),
    ]


def _quantmcu(sweep: Mapping[str, Any]) -> list[str]:
    base, trials = sweep["int8"], sweep["trials"]
    accuracy = base["accuracy"]
    text = (
        f"The first {accuracy['images']} of these images: float top-1 {accuracy['float_top1']:.2f} %, int8 in patches "
        f"{accuracy['difference']:+.2f} +- {accuracy['interval']:.2f} points, KL {accuracy['divergence']:.4f}."
    )
    return [text, _reductions(trials, base), _table(trials, base, wide=True)]


def _reductions(trials: Sequence[Mapping[str, Any]], base: Mapping[str, Any]) -> str:
    """What is reached at a loss of one and of two points, and VDPC on beside off where BitOPs are about equal."""
    lines = []
    for points in (1.0, 2.0):
        within = [t for t in trials if t["accuracy"]["difference"] >= base["accuracy"]["difference"] - points]
        best = max((base["bitops"] / t["bitops"] for t in within), default=1.0)
        lines.append(f"{best:.2f} times fewer BitOPs at up to {points:.1f} points below int8")
    text = f"- {lines[0]}, {lines[1]}; the paper reports {PAPER} times at comparable accuracy."
    off = [t for t in trials if t["vdpc"] == "off"]
    pairs: dict[tuple[float, float], str] = {}
    for trial in trials:
        if off and trial["vdpc"] != "off" and trial["wide_patches"]:
            # Several lambdas come to the same bits: the first of them stands for all.
            pairs.setdefault((trial["bitops"], trial["accuracy"]["divergence"]), _pair(trial, off))
    return "\n".join([text, *(f"- {pair}" for pair in pairs.values())])


def _pair(on: Mapping[str, Any], off: Sequence[Mapping[str, Any]]) -> str:
    """VDPC on beside the trial without it whose BitOPs are nearest."""
    nearest = min(off, key=lambda t: abs(t["bitops"] - on["bitops"]))
    first, second = on["accuracy"], nearest["accuracy"]
    return (
        f"VDPC on ({on['name']}, {on['wide_patches']} of {on['patches']} patches wide): "
        f"{on['bitops'] / 1e6:.1f} MBitOPs, {first['difference']:+.2f} points, KL {first['divergence']:.3f}; "
        f"off ({nearest['name']}): {nearest['bitops'] / 1e6:.1f} MBitOPs, {second['difference']:+.2f} points, "
        f"KL {second['divergence']:.3f}"
    )


def _table(trials: Sequence[Mapping[str, Any]], base: Mapping[str, Any], *, wide: bool = False) -> str:
    heads = (*_HEADS, "wide patches") if wide else _HEADS
    return table(heads, [_row(trial, base, wide=wide) for trial in trials])


def _difference(paired: Mapping[str, Any]) -> str:
    return f"{paired['difference']:+.2f} +- {paired['interval']:.2f}"


def _row(trial: Mapping[str, Any], base: Mapping[str, Any], *, wide: bool) -> tuple[str, ...]:
    accuracy = trial["accuracy"]
    name = trial["name"] + (", whole network" if trial.get("layer_stage") else "")
    row = (
        name,
        f"{trial['macs'] / 1e6:.2f}",
        f"{trial['bitops'] / 1e6:.1f}",
        f"{base['bitops'] / trial['bitops']:.2f}x",
        f"{trial['arena_bytes']:,}",
        f"{trial['weight_bytes']:,}",
        f"{trial['instructions'] / 1e6:.1f}",
        f"{accuracy['top1']:.2f} %",
        _difference(accuracy),
        _difference(trial["against_int8"]),
        f"{accuracy['agreement']:.1f} %",
        f"{accuracy['divergence']:.4f}",
    )
    if not wide:
        return row
    shown = ABSENT if trial["wide_patches"] is None else f"{trial['wide_patches']} of {trial['patches']}"
    return (*row, shown)
