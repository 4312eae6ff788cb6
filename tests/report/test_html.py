# SPDX-License-Identifier: Apache-2.0
"""The HTML report: complete, self-contained, and safe against names."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import pytest

from mcukit.planning.plan import Plan
from mcukit.report.html import render_html

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


def test_every_layer_is_in_the_table(content: dict[str, Any]) -> None:
    page = Page(render_html(content))
    assert page.tags.count("tr") == 1 + len(content["layers"])
    for text in ("first", "conv2d", "1x4x4x8", "216", "0.0123", "0.99990", "400 bytes"):
        assert text in page.text
    assert "svg" not in page.tags


def test_nothing_is_loaded_and_nothing_runs(content: dict[str, Any], plan: Plan) -> None:
    page = Page(render_html(content, plan))
    assert not {"script", "img", "link", "iframe"} & set(page.tags)
    assert not {"src", "href", "onload", "onerror"} & {name for name, _ in page.attributes}
    assert ("content", "default-src 'none'; style-src 'unsafe-inline'") in page.attributes


def test_hostile_names_stay_text(content: dict[str, Any], plan: Plan) -> None:
    content["name"] = content["board"] = HOSTILE
    content["layers"][0]["name"] = content["layers"][0]["op"] = HOSTILE
    content["layers"][0]["output"] = content["layers"][1]["inputs"][0] = HOSTILE
    maps = {HOSTILE if name == "a" else name: place for name, place in plan.maps.items()}
    text = render_html(content, Plan(plan.schedule, maps, plan.scratch, plan.arena_bytes))
    page = Page(text)
    assert not {"script", "img"} & set(page.tags)
    assert not {"onload", "onerror", "src"} & {name for name, _ in page.attributes}
    assert "<script>alert('x')</script>" in page.text
    assert "\x1b" not in text
    assert text.encode("utf-8")


def test_memory_is_drawn_to_scale(content: dict[str, Any], plan: Plan) -> None:
    page = render_html(content, plan)
    # Five columns of 192 units: the input, three layers, the output. 400 bytes are 320 units.
    assert '<rect class="map" x="0.00" y="268.80" width="768.00" height="51.20"/>' in page
    assert '<rect class="map" x="192.00" y="166.40" width="576.00" height="102.40"/>' in page
    assert '<rect class="map" x="576.00" y="64.00" width="384.00" height="102.40"/>' in page
    assert '<rect class="scratch" x="192.00" y="0.00" width="192.00" height="64.00"/>' in page
    assert "<title>a = b: 128 bytes at 64</title>" in page


@pytest.mark.parametrize(("sram", "share", "fits"), [(800, "50.00%", True), (200, "100.00%", False)])
def test_budget_bars(content: dict[str, Any], sram: int, share: str, fits: bool) -> None:
    content["budget"]["sram"] = sram
    page = render_html(content)
    assert f'style="width: {share}"' in page
    assert ("does not fit" in page) is not fits


def test_measurements_are_shown_where_there_are_some(content: dict[str, Any]) -> None:
    assert "Emulated on" not in render_html(content)
    content["emulation"] = {"target": "cortex-m4", "instructions": 123456, "stack_bytes": 260, "code_bytes": 100}
    content["accuracy"] = {"top1": 87.5, "float_top1": 88.25}
    content["budget"]["flash"] = 1024
    content["layers"][0]["instructions"] = 4321
    text = Page(render_html(content)).text
    for shown in ("123,456", "260 bytes", "87.50 %", "88.25 %", "4,321", "532 bytes of 1,024 bytes"):
        assert shown in text


def test_an_uncalibrated_build_says_so(content: dict[str, Any]) -> None:
    assert "Not calibrated" not in render_html(content)
    content["calibrated"] = False
    assert "Not calibrated" in render_html(content)


def test_the_same_content_gives_the_same_bytes(content: dict[str, Any], plan: Plan) -> None:
    assert render_html(content, plan) == render_html(content, plan)
