# SPDX-License-Identifier: Apache-2.0
"""Bits along the network and patches on the input, as shapes and in the page."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from mcukit.planning.dataflow import Dataflow
from mcukit.quantized.branches import OutlierTest
from mcukit.report.bits_picture import BitsPicture, Panel, bits_picture
from mcukit.report.branch_picture import BranchPicture, branch_picture
from mcukit.report.html import render_html
from tests.planning.small_network import planned, renamed
from tests.planning.test_branches import branched, plans
from tests.report.conftest import ContentOf
from tests.report.test_html import HOSTILE, Page
from tests.report.two_forms import MIDDLE, TEST, WIDE, classes_of, first_plan, two_forms

Reported = dict[str, Any]


@pytest.fixture
def reported(content_of: ContentOf) -> Reported:
    model = two_forms()
    return content_of(model, first_plan(model))


def picture_of(content: Reported) -> BitsPicture:
    picture = bits_picture(content)
    assert picture is not None
    return picture


def panel_of(picture: BitsPicture, title: str) -> Panel:
    (panel,) = (panel for panel in picture.panels if panel.title.startswith(title))
    return panel


def repeated(content: Reported, number: int) -> Reported:
    """The content with so many layers, of all widths."""
    layers = [
        {**content["layers"][0], "name": f"layer{index}", "output_bits": bits, "map_bytes": 75 * bits, "narrow": None}
        for index, bits in enumerate([8, 4, 2] * (number // 3))
    ]
    return {**content, "layers": layers}


def patches_of(content_of: ContentOf, test: OutlierTest | None = None, known: bool = True) -> BranchPicture:
    model = two_forms(test)
    content = content_of(model, first_plan(model), classes_of(model) if known else None)
    return branch_picture(Dataflow(model), content["precision"]["branches"])


def test_nothing_is_drawn_where_all_has_8_bits(content: Reported) -> None:
    assert bits_picture(content) is None


def test_bars_are_drawn_to_scale(reported: Reported) -> None:
    """A column for the input and one for each layer; the narrow form in front of the wide one."""
    picture = picture_of(reported)
    bits, held = panel_of(picture, "bits of maps"), panel_of(picture, "bytes of maps")
    names = [layer["name"] for layer in reported["layers"]]
    assert len(bits.bars) == len(held.bars) == len(picture.columns) == 1 + len(names)
    middle = 1 + names.index(MIDDLE)
    (behind, wide), (before, narrow) = bits.bars[middle].parts
    assert (behind, before) == ("bits-8 pale", "bits-2")
    assert wide.height == pytest.approx(4 * narrow.height) == pytest.approx(bits.bottom - bits.top)
    assert wide.y + wide.height == pytest.approx(bits.bottom) == pytest.approx(narrow.y + narrow.height)
    assert [label.text for label in bits.bars[middle].labels] == ["8", "2"]
    (_, wide), (_, narrow) = held.bars[middle].parts
    assert wide.height / narrow.height == pytest.approx(600 / 240)
    assert [label.text for label in held.bars[middle].labels] == ["240", "600"]
    assert [kind for kind, _ in bits.bars[0].parts] == ["bits-8"]
    assert held.bars[0].parts[0][1].height / wide.height == pytest.approx(360 / 600)
    assert picture.tiled is not None
    assert (picture.tiled.x, picture.tiled.width) == (bits.bars[1].parts[0][1].x - 0.5, 5 * picture.columns[0].width)
    assert picture.tiled.label == "tiles of two forms, 2 x 3"


def test_weights_stand_below_their_layers(reported: Reported) -> None:
    reported["layers"][4]["weight_bits"] = 4
    picture = picture_of(reported)
    bits, held = panel_of(picture, "bits of weights"), panel_of(picture, "bytes of weights")
    shown = [index for index, layer in enumerate(reported["layers"], start=1) if layer["weight_bits"]]
    assert [bar.parts[0][1].x for bar in bits.bars] == [picture.columns[index].x + 0.5 for index in shown]
    assert [bar.parts[0][0] for bar in bits.bars] == ["bits-8", "bits-4", "bits-8", "bits-8"]
    heights = {
        bar.parts[0][1].height / reported["layers"][i - 1]["weight_bytes"]
        for bar, i in zip(held.bars, shown, strict=True)
    }
    assert max(heights) == pytest.approx(min(heights))


def test_packed_maps_are_outlined_as_with_8_bits(reported: Reported) -> None:
    picture = picture_of(repeated(reported, 6))
    parts = panel_of(picture, "bytes of maps").bars[2].parts
    assert [kind for kind, _ in parts] == ["int8", "bits-4"]
    assert parts[0][1].height == pytest.approx(2 * parts[1][1].height)
    assert picture.outlined
    assert picture.widths == (8, 4, 2)


@pytest.mark.parametrize("number", [3, 9, 48, 84, 150])
def test_any_number_of_layers_is_readable(reported: Reported, number: int) -> None:
    """Bars stay apart, labels inside of the picture and off each other."""
    picture = picture_of(repeated(reported, number))
    assert picture.width <= 1040
    for panel in picture.panels:
        bars = [bar.parts[-1][1] for bar in panel.bars]
        assert all(a.x + a.width < b.x for a, b in pairwise(bars))
        assert min(bar.width for bar in bars) > 4
        labels = [label for bar in panel.bars for label in bar.labels]
        assert all(panel.top - 4 <= label.y <= panel.bottom for label in labels)
        level = [label for label in labels if not label.upright]
        edges = [(label.y, label.x - 3 * len(label.text), label.x + 3 * len(label.text)) for label in level]
        assert all(b[1] >= a[2] for a, b in pairwise(sorted(edges)) if a[0] == b[0])
    numbers = [box for box in picture.columns if box.label]
    assert len(numbers) >= min(number, 30)
    assert all(a.middle + 3 * len(a.label) < b.middle - 3 * len(b.label) for a, b in pairwise(numbers))


def test_tiles_on_the_input(content_of: ContentOf) -> None:
    """Rows 0 to 5 of 12 are the upper tiles' share; with the halo of three windows they read more of them."""
    picture = patches_of(content_of)
    unit = 458 / 12
    assert (picture.height, picture.width) == (pytest.approx(460), pytest.approx(10 * unit + 2))
    assert [patch.kind for patch in picture.patches] == ["narrow", "wide", "narrow", "narrow", "narrow", "wide"]
    first = picture.patches[0]
    assert (first.share.width, first.share.height) == (pytest.approx(3 * unit), pytest.approx(6 * unit))
    assert first.reads.height > first.share.height
    assert picture.halos
    assert [text for _, _, text in first.lines] == ["8/4/2 bits", "0.0 % outliers", "in 0 % of images"]
    assert picture.patches[1].lines[0][2] == "8 bits"
    assert all(
        patch.share.x < x < patch.share.x + patch.share.width and patch.share.y < y < patch.share.y + patch.share.height
        for patch in picture.patches
        for x, y, _ in patch.lines
    )
    assert dict(picture.keys) == {"wide": "wide tile: 8 bits", "narrow": "narrow tile: 8/4/2 bits"}
    assert f"Wide by position: {len(WIDE)} of 6." in picture.facts
    assert "too many of them" in picture.facts
    assert "too many of them" not in patches_of(content_of, known=False).facts
    assert picture.table is not None
    assert picture.table.rows[1][:3] == ("1, 2", "wide", "8")
    assert picture.table.rows[1][4:] == ("2.50 %", "20.0 %")


def test_tiles_whose_values_decide_are_as_strong_as_often_wide(content_of: ContentOf) -> None:
    picture = patches_of(content_of, TEST)
    assert {patch.kind for patch in picture.patches} == {"either"}
    assert [patch.strength for patch in picture.patches] == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1])
    assert picture.patches[3].lines[-1][2] == "wide in 60 %"
    assert "below -60 or above 70" in picture.facts
    assert dict(picture.keys) == {"either": "by its values: 8 or 8/4/2 bits"}
    unknown = patches_of(content_of, TEST, known=False)
    assert len({patch.strength for patch in unknown.patches}) == 1
    assert [text for _, _, text in unknown.patches[0].lines] == ["8 or 8/4/2 bits"]
    assert unknown.table is not None
    assert [column.title for column in unknown.table.columns] == ["tile", "form", "bits", "reads", "wide from"]


def test_a_fine_grid_has_colours_only(content_of: ContentOf) -> None:
    model, _ = branched(wide=((0, 0),), grid=(6, 5))
    content = content_of(model, plans(model)[0])
    for entry in content["precision"]["branches"]["tiles"]:
        entry.update(outliers=12.5, images=100.0)
    picture = branch_picture(Dataflow(model), content["precision"]["branches"])
    assert len(picture.patches) == 30
    lines = [text for patch in picture.patches for _, _, text in patch.lines]
    assert "8/4/2" in lines
    assert "12.5 % outliers" not in lines


def test_the_page_shows_both_pictures(content_of: ContentOf) -> None:
    model = two_forms()
    plan = first_plan(model)
    page = Page(text := render_html(content_of(model, plan, classes_of(model)), plan, model))
    assert text.count('<svg class="bits"') == text.count('<svg class="patches"') == 1
    assert "<h2>Bits along the network</h2>" in text
    assert "<h2>Patches on the input</h2>" in text
    for shown in (
        "8, 4 and 2 bits, schedule",
        "BitOPs",
        "MACs again",
        "8 / 2",
        "2 of 6 wide by position",
        "in 20 % of",
    ):
        assert shown in page.text
    assert not {"script", "img", "link", "use", "image"} & set(page.tags)


def test_the_page_of_8_bits_has_neither(content_of: ContentOf, model: Any) -> None:
    plan = planned(model, "patches")
    text = render_html(content_of(model, plan), plan, model)
    assert "int8, schedule" in text
    for absent in ("Bits along", "Patches on the input", "BitOPs", "map bits", "8 bits"):
        assert absent not in Page(text).text


def test_narrow_instructions_have_a_column_where_they_were_measured(reported: Reported) -> None:
    assert "in narrow tiles</th>" not in render_html(reported)
    reported["layers"][2]["instructions"] = 4444
    reported["layers"][2]["narrow"]["instructions"] = 3333
    text = render_html(reported)
    assert "in narrow tiles</th>" in text
    assert "<td>4,444</td>\n  <td>3,333</td>" in text


def test_hostile_names_stay_text(reported: Reported, content_of: ContentOf, model: Any) -> None:
    for layer in reported["layers"]:
        layer["name"] = HOSTILE
    reported["name"] = HOSTILE
    text = render_html(reported)
    assert "<title>1 conv2d\n" in text
    assert not {"script", "img"} & set(Page(text).tags)
    assert "\x1b" not in text
    assert text.encode("utf-8")
    stranger = renamed(model, {"image": HOSTILE})
    content = content_of(stranger, planned(stranger, "layers"))
    content["layers"][0]["weight_bits"], content["precision"]["weights"] = 4, {"8": 1, "4": 1, "2": 0}
    text = render_html(content, planned(stranger, "layers"), stranger)
    assert not {"script", "img"} & set(Page(text).tags)
    assert 'class="bits-4"' in text
