# SPDX-License-Identifier: Apache-2.0
"""One HTML file that shows a build: no scripts, nothing loaded from elsewhere, readable in ten years."""

from __future__ import annotations

__all__ = ["render_html"]

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import jinja2

from mcukit import __version__
from mcukit.planning.dataflow import Dataflow
from mcukit.planning.plan import Plan
from mcukit.planning.schedule import partition, schedule
from mcukit.quantized.integer import IntegerModel
from mcukit.report.bits import bitops_text, bits_title, has_bits, map_bits, precision_facts, weight_bits
from mcukit.report.bits_picture import bits_picture
from mcukit.report.blocks import Table, printable
from mcukit.report.branch_picture import BranchPicture, branch_picture
from mcukit.report.core import estimate_facts, kernel_choice_text, kernels_text
from mcukit.report.cycles import cycles_text
from mcukit.report.memory import memory_timelines, phases
from mcukit.report.memory_picture import MemoryPicture, memory_picture
from mcukit.report.stages import StageView, stage_views, stages_table
from mcukit.report.units import ABSENT, count, percent, ratio, shape, short_name, size


@dataclass(frozen=True)
class _Bar:
    """A budget and what is used of it. share: percent, not above 100; fits: whether it is enough."""

    label: str
    used: int
    budget: int

    @property
    def share(self) -> float:
        return min(100.0 * self.used / self.budget, 100.0) if self.budget else 100.0

    @property
    def fits(self) -> bool:
        return self.used <= self.budget


@dataclass(frozen=True)
class _Drawings:
    """What is shown of a plan: a picture for each memory region, its stages in one table, and one by one.

    overview: None where nothing but whole maps is computed. patches: None where all tiles have the same form.
    """

    memory: tuple[MemoryPicture, ...] = ()
    overview: Table | None = None
    stages: tuple[StageView, ...] = ()
    patches: BranchPicture | None = None


def render_html(content: Mapping[str, Any], plan: Plan | None = None, model: IntegerModel | None = None) -> str:
    """The page for the content of report.json.

    plan, model: what the content is about; with both, the plan's memory, tiles and rings are drawn.
    """
    drawings = _Drawings() if plan is None or model is None else _drawings(content, plan, model)
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            content=content,
            version=__version__,
            emulation=content.get("emulation"),
            cards=_cards(content),
            bars=_bars(content),
            most_macs=max((layer["macs"] for layer in content["layers"]), default=0),
            drawings=drawings,
            bits=bits_picture(content),
            bits_title=bits_title(content),
            precision_facts=precision_facts(content) if has_bits(content) else [],
            narrow_measured=any((layer.get("narrow") or {}).get("instructions") for layer in content["layers"]),
        )
    )


@cache
def _environment() -> jinja2.Environment:
    """The templates of the page, each compiled once."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("mcukit.report"),
        autoescape=True,  # every name comes from a model file, which anyone may have made
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters.update(count=count, percent=percent, ratio=ratio, shape=shape, size=size)
    environment.filters.update(printable=printable, short_name=short_name, pixels=_pixels)
    environment.filters.update(map_bits=map_bits, weight_bits=weight_bits, kernel_choice=kernel_choice_text)
    return environment


def _drawings(content: Mapping[str, Any], plan: Plan, model: IntegerModel) -> _Drawings:
    flow = Dataflow(model)
    stages = partition(flow, plan.stages, plan.pushed)
    if not stages:
        return _Drawings()
    calls = schedule(flow, stages, plan.pushed)
    timelines = memory_timelines(flow, plan, stages, calls)
    parts = phases(stages, calls)
    # A budget is for all regions together.
    budget = content["budget"]["sram"] if len(timelines) == 1 else None
    holdings = [holding for timeline in timelines for holding in timeline.holdings]
    return _Drawings(
        tuple(memory_picture(flow, plan, parts, timeline, budget) for timeline in timelines),
        stages_table(flow, stages) if plan.schedule != "layers" else None,
        stage_views(flow, plan, stages, holdings),
        branch_picture(flow, content["precision"]["branches"]) if model.branches else None,
    )


def _cards(content: Mapping[str, Any]) -> list[tuple[str, str]]:
    cards = [
        ("SRAM for maps", size(content["arena_bytes"])),
        ("flash for weights", size(content["weight_bytes"])),
        ("multiply-accumulates", count(content["macs"])),
        (".tflite file", size(content["tflite"]["bytes"])),
        ("kernels", kernels_text(content)),
    ]
    if content["macs_redundant"]:
        share = 100 * content["macs_redundant"] / content["macs"]
        cards.insert(3, ("computed again", f"{count(content['macs_redundant'])} (+{share:.1f} %)"))
    if has_bits(content):
        cards.insert(3, ("BitOPs", bitops_text(content)))
    accuracy, emulation = content["accuracy"], content.get("emulation")
    if accuracy:
        cards.append((f"top-1, {bits_title(content)}", percent(accuracy["top1"])))
        if accuracy.get("float_top1") is not None:
            cards.append(("top-1, float", percent(accuracy["float_top1"])))
    if emulation:
        cards.append((f"instructions on {emulation['target']}", count(emulation["instructions"])))
        if emulation.get("estimated_cycles"):
            cards.append(("time of an inference", cycles_text(emulation["estimated_cycles"])))
    return [*cards, *estimate_facts(content)]


def _bars(content: Mapping[str, Any]) -> list[_Bar]:
    budget, emulation = content["budget"], content.get("emulation") or {}
    bars = []
    if budget["sram"] is not None:
        bars.append(_Bar("SRAM: maps", content["arena_bytes"], budget["sram"]))
    if budget["flash"] is not None:
        code = emulation.get("code_bytes")
        label = "flash: weights" if code is None else "flash: weights and code"
        bars.append(_Bar(label, content["weight_bytes"] + (code or 0), budget["flash"]))
    return bars


def _pixels(extent: list[int] | None) -> str:
    """Rows and columns: "11 x 11"."""
    return ABSENT if extent is None else f"{extent[0]} x {extent[1]}"
