# SPDX-License-Identifier: Apache-2.0
"""networks.md, made from the content of networks.json and nothing else."""

from __future__ import annotations

__all__ = ["BASELINE_FACTOR", "render"]

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.support.markdown import ABSENT, millions, per_mac, table, times
from mcukit.emulation.counting import INSTRUCTION_CLASSES

BASELINE_FACTOR = 3
"""How many times fewer instructions than the baseline engine mcukit must take."""

_FUSION = (
    "Activations and pads are part of the kernels. Beyond that: *expansion*, what convolutions take to widen the "
    "outputs of a depthwise convolution to 16 bits, by the table of costs; *transfers*, the loads and stores of "
    "additions, counted. Both in percent of the network's instructions."
)

_Fields = Mapping[str, Any]


def render(results: _Fields) -> str:
    """The whole page."""
    networks = results["networks"]
    legend = (
        "Shares of one inference in percent. multiply includes multiply-accumulate; a branch that loads the program "
        "counter is a branch; an instruction that moves several registers counts once."
    )
    sections = [
        "# Networks on an emulated microcontroller",
        _introduction(results),
        *_skipped(results["skipped"]),
        _costs(networks),
        "## Beside other engines",
        results["peers_conditions"],
        _peers(networks),
        _bars(networks),
        "## Where instructions go, by operator",
        "Sums over all layers of a kind, counted with hooks that cost a few instructions for each layer.",
        _operators(networks),
        "## What fusing layers could save at most",
        _FUSION,
        _fusion(networks),
        "## What instructions they are",
        legend,
        _classes(networks),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _introduction(results: _Fields) -> str:
    return (
        f"The second inference of one real input on {results['target']}. Its output was compared byte by byte with "
        "that of TensorFlow Lite Micro's reference kernels. Instructions are counted exactly; they are not cycles. "
        "SRAM is the arena, all other static RAM and the deepest stack; flash is code, constants and weights. Neither "
        "includes startup code or an application. Accuracy is top-1 on the evaluation data: int8 is the generated C on "
        "the host, float is ONNX Runtime on the same samples.\n\n"
        f"- mcukit {results['mcukit']}, kernels {results['kernels']}\n- {results['compiler']}\n- {results['emulator']}"
    )


def _skipped(skipped: Sequence[_Fields]) -> list[str]:
    return ["\n".join(f"- {entry['name']} skipped: {entry['reason']}" for entry in skipped)] if skipped else []


def _costs(networks: Sequence[_Fields]) -> str:
    heads = (
        "network", "MMAC", "instructions", "per MAC", "SRAM bytes", "arena", "stack", "flash bytes", "code", "weights",
        "float top-1", "int8 top-1", "images",
    )  # fmt: skip
    rows = []
    for network in networks:
        accuracy = network["accuracy"] or {"float_top1": None, "top1": None, "images": None}
        rows.append((
            network["name"], f"{network['macs'] / 1e6:.2f}", f"{network['instructions']:,}",
            per_mac(network["instructions"], network["macs"]),
            *(f"{network[key]:,}" for key in
              ("sram_bytes", "arena_bytes", "stack_bytes", "flash_bytes", "code_bytes", "weight_bytes")),
            _percent(accuracy["float_top1"]), _percent(accuracy["top1"]), str(accuracy["images"] or ABSENT),
        ))  # fmt: skip
    return table(heads, rows)


def _peers(networks: Sequence[_Fields]) -> str:
    heads = (
        "network", "engine", "output", "instructions", "per MAC", "RAM bytes", "flash bytes",
        "instructions / mcukit's", "RAM / mcukit's", "flash / mcukit's",
    )  # fmt: skip
    rows = []
    for network in (network for network in networks if network["peers"]):
        macs = network["macs"]
        rows.append((
            network["name"], "mcukit", "exact", millions(network["instructions"]),
            per_mac(network["instructions"], macs), f"{network['sram_bytes']:,}", f"{network['flash_bytes']:,}",
            ABSENT, ABSENT, ABSENT,
        ))  # fmt: skip
        for peer in network["peers"]:
            ratios = peer["times_mcukit"]
            rows.append((
                network["name"], peer["name"], peer["output"], millions(peer["instructions"]),
                per_mac(peer["instructions"], macs), f"{peer['ram']:,}", f"{peer['flash']:,}",
                times(ratios["instructions"]), times(ratios["ram"]), times(ratios["flash"]),
            ))  # fmt: skip
    return table(heads, rows, texts=3) if rows else ""


def _bars(networks: Sequence[_Fields]) -> str:
    """Says for each network whether mcukit takes as few instructions as it must, as far as there is a baseline."""
    lines, without = [], []
    for network in networks:
        baselines = [peer for peer in network["peers"] if peer["baseline"]]
        if network["peers"] and not baselines:
            without.append(network["name"])
        for peer in baselines:
            ratio = peer["times_mcukit"]["instructions"]
            verdict = "met" if ratio >= BASELINE_FACTOR else "missed"
            lines.append(
                f"- {network['name']}: {peer['name']} take {times(ratio)} mcukit's instructions; "
                f"the bar of {BASELINE_FACTOR}x is {verdict}."
            )
    if without:
        lines.append(f"- The engine that sets the bar was not measured on {', '.join(without)}.")
    return "\n".join(lines)


def _operators(networks: Sequence[_Fields]) -> str:
    heads = ("network", "operator", "layers", "MMAC", "instructions", "share %", "per MAC")
    rows = [
        (
            network["name"], entry["op"], str(entry["layers"]), f"{entry['macs'] / 1e6:.3f}",
            f"{entry['instructions']:,}", f"{100 * entry['instructions'] / network['instructions']:.1f}",
            per_mac(entry["instructions"], entry["macs"]),
        )
        for network in networks for entry in network["operators"]
    ]  # fmt: skip
    return table(heads, rows, texts=2)


def _fusion(networks: Sequence[_Fields]) -> str:
    rows = []
    for network in networks:
        shares = [f"{100 * network['fusion'][key] / network['instructions']:.1f}" for key in ("expansion", "transfers")]
        rows.append((network["name"], *shares))
    return table(("network", "expansion", "transfers"), rows)


def _classes(networks: Sequence[_Fields]) -> str:
    rows = []
    for network in networks:
        classes = network["instruction_classes"]
        shares = [f"{100 * classes[name] / network['instructions']:.1f}" for name in INSTRUCTION_CLASSES]
        rows.append((network["name"], *shares))
    return table(("network", *INSTRUCTION_CLASSES), rows)


def _percent(value: float | None) -> str:
    return ABSENT if value is None else f"{value:.2f} %"
