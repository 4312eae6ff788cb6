# SPDX-License-Identifier: Apache-2.0
"""The HTML report: complete, self-contained, and safe against names."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest

from mcukit.graph.graph import Graph, Quantization, Tensor
from mcukit.planning.plan import Halo, Plan
from mcukit.planning.planner import plan_layers
from mcukit.quantized.integer import IntegerModel
from mcukit.quantized.lower import lower
from mcukit.report.html import render_html
from tests.planning.small_network import PLANS, network, planned, renamed
from tests.report.conftest import ContentOf

HOSTILE = "<script>alert('x')</script><img src=x onerror=y>\" onload=\"z \x1b[31m \udc80 {{ 7 * 7 }}"
VOID = {"meta", "br", "img", "link", "input", "hr"}


class Page(HTMLParser):
    """Checks nesting while it collects tags, attributes and text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(page)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attributes
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attributes

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(params=PLANS)
def drawn(request: pytest.FixtureRequest, model: IntegerModel, content_of: ContentOf) -> tuple[str, Plan]:
    """The page with the pictures of a plan, and the plan."""
    plan = planned(model, request.param)
    return render_html(content_of(model, plan), plan, model), plan


def test_every_layer_is_in_the_table(content: dict[str, Any]) -> None:
    page = Page(render_html(content))
    assert page.tags.count("tr") == 1 + len(content["layers"])
    for text in ("a_layer", "conv2d", "1x12x10x4", "9 x 9", "0.0123", "0.99990", "3,000 bytes"):
        assert text in page.text
    assert "svg" not in page.tags


def test_nothing_is_loaded_and_nothing_runs(drawn: tuple[str, Plan]) -> None:
    page = Page(drawn[0])
    assert not {"script", "img", "link", "iframe", "use", "image", "foreignobject"} & set(page.tags)
    assert not {"src", "href", "xlink:href", "onload", "onerror"} & {name for name, _ in page.attributes}
    assert ("content", "default-src 'none'; style-src 'unsafe-inline'") in page.attributes
    assert "url(" not in drawn[0]


def test_hostile_names_stay_text(content_of: ContentOf) -> None:
    names = {
        "net": HOSTILE,
        "image": f"{HOSTILE} 1",
        "a": f"{HOSTILE} 2",
        "a_layer": f"{HOSTILE} 3",
        "c": f"c {HOSTILE}",
    }
    model = renamed(network(), names)
    for name in PLANS:
        plan = planned(model, name)
        content = content_of(model, plan)
        content["board"] = HOSTILE
        text = render_html(content, plan, model)
        page = Page(text)
        assert not {"script", "img"} & set(page.tags)
        assert not {"onload", "onerror", "src"} & {name for name, _ in page.attributes}
        assert "<script>alert('x')</script>" in page.text
        assert "\x1b" not in text
        assert text.encode("utf-8")


def test_names_of_any_length_leave_the_page_small(content_of: ContentOf) -> None:
    model = renamed(network(), {"d": "d" * 1000, "d_layer": "l" * 1000})
    plan = planned(model, "stream")
    page = render_html(content_of(model, plan), plan, model)
    assert "d" * 301 not in page
    assert page.count("l" * 1000) == 1, "only the tooltip in the table of layers has the whole name"


def test_every_buffer_is_named(drawn: tuple[str, Plan]) -> None:
    page, plan = drawn
    for place in set(plan.maps.values()):
        names = [name for name, other in plan.maps.items() if other == place and name != "v"]
        assert any(
            f"{name}\n" in page and f"{place.bytes:,} bytes at {place.offset:,} in ram\n{place.rows} of " in page
            for name in names
        )
    for name, place in plan.scratch.items():
        assert f"<title>{name}\n" in page
        assert f"working memory: {place.bytes:,} bytes at {place.offset:,} in ram</title>" in page


def test_memory_is_drawn_to_scale(content_of: ContentOf, model: IntegerModel) -> None:
    """The input is whole from the first column on, and its rows go one after the other."""
    plan = planned(model, "layers")
    page = render_html(content_of(model, plan), plan, model)
    unit = 400 / plan.arena_bytes
    place = plan.maps["image"]
    low, high = 430 - place.offset * unit, 430 - place.end * unit
    path = re.search(r'<title>image\n[^<]*</title><path class="input tone-[01]" d="([^"]*)"', page)
    assert path is not None
    assert path[1].startswith(f"M58 {low:.1f}H58V".replace(".0H", "H"))
    heights = [float(text) for text in re.findall(r"V([0-9.]+)", path[1])]
    assert min(heights) == pytest.approx(high, abs=0.06)
    assert max(heights) == pytest.approx(low, abs=0.06)
    # Up the left edge in one piece, down the right one in a step for each row that dies alone.
    assert len(set(re.findall(r"H([0-9.]+)", path[1]))) == 1 + 11


@pytest.mark.parametrize(("arenas", "line"), [(1.2, True), (0.5, True), (20.0, False)])
def test_a_budget_that_is_near_is_a_line(content_of: ContentOf, model: IntegerModel, arenas: float, line: bool) -> None:
    plan = planned(model, "layers")
    content = content_of(model, plan)
    content["budget"]["sram"] = int(arenas * plan.arena_bytes)
    page = render_html(content, plan, model)
    assert ('<line class="budget"' in page) is line
    assert ("lies above the picture" in page) is not line
    assert f"arena {plan.arena_bytes}" in page


def test_regions_have_pictures_of_their_own(content_of: ContentOf, model: IntegerModel) -> None:
    plan = planned(model, "layers")
    fast = replace(plan.maps["image"], region="<fast>", offset=0)
    plan = replace(plan, maps={**plan.maps, "image": fast}, arenas={**plan.arenas, "<fast>": fast.bytes})
    page = render_html(content_of(model, plan), plan, model)
    assert page.count('<svg class="memory"') == 2
    assert "<h3>Region &lt;fast&gt;</h3>" in page


def test_stages_are_shown_where_they_differ_from_plain_layers(drawn: tuple[str, Plan]) -> None:
    page, plan = drawn
    assert ("<h2>Stages</h2>" in page) is (plan.schedule != "layers")
    assert page.count('<svg class="tiles"') == sum(stage.tiled for stage in plan.stages)
    assert ("input handed over row by row" in page) is plan.pushed
    assert page.count("<th>rows held</th>") == sum(stage.halo is Halo.KEPT for stage in plan.stages)


@pytest.mark.parametrize(("sram", "share", "fits"), [(800, "50.00%", True), (200, "100.00%", False)])
def test_budget_bars(content: dict[str, Any], sram: int, share: str, fits: bool) -> None:
    content["budget"]["sram"], content["arena_bytes"] = sram, 400
    page = render_html(content)
    assert f'style="width: {share}"' in page
    assert ("does not fit" in page) is not fits


def test_measurements_are_shown_where_there_are_some(content: dict[str, Any]) -> None:
    assert "Emulated on" not in render_html(content)
    content["emulation"] = {"target": "cortex-m4", "instructions": 123456, "stack_bytes": 260, "code_bytes": 100}
    content["accuracy"] = {"top1": 87.5, "float_top1": 88.25}
    content["budget"]["flash"] = 1024
    content["layers"][0]["instructions"] = 4321
    content["macs_redundant"] = 1728
    text = Page(render_html(content)).text
    for shown in ("123,456", "260 bytes", "87.50 %", "88.25 %", "4,321", "of 1,024 bytes", "1,728 (+10.0 %)"):
        assert shown in text


def test_an_uncalibrated_build_says_so(content: dict[str, Any]) -> None:
    assert "Not calibrated" not in render_html(content)
    content["calibrated"] = False
    assert "Not calibrated" in render_html(content)


def test_the_same_content_gives_the_same_bytes(content: dict[str, Any], model: IntegerModel) -> None:
    plan = planned(model, "layers")
    assert render_html(content, plan, model) == render_html(content, plan, model)


def test_a_network_without_layers_has_no_pictures(content: dict[str, Any]) -> None:
    same = Quantization.per_tensor(0.1, 0)
    model = lower(Graph("net", {"in": Tensor("in", (1, 4, 4, 1), None, same)}, (), ("in",), ("in",)))
    page = render_html({**content, "layers": []}, plan_layers(model), model)
    assert "svg" not in Page(page).tags
