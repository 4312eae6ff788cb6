# SPDX-License-Identifier: Apache-2.0
"""The benchmark of whole networks, run as `make bench` runs it; and the results that are kept beside it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from benchmarks.support.network_picture import render_picture

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "benchmarks" / "networks.py"
KEPT = ROOT / "benchmarks" / "results"


def run_benchmark(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(SCRIPT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300, check=False)


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of the demo network, which is there on every computer."""
    folder = tmp_path_factory.mktemp("results")
    done = run_benchmark("--only", "demo", "--no-accuracy", "--output", str(folder))
    assert done.returncode == 0, done.stderr
    assert done.stdout.rstrip() == (folder / "networks.md").read_text().rstrip()
    return folder


@pytest.fixture(params=["measured", "kept"])
def results(request: pytest.FixtureRequest) -> Path:
    return request.getfixturevalue("measured") if request.param == "measured" else KEPT


def read(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "networks.json").read_text())
    return content


def test_sums_add_up(results: Path) -> None:
    networks = read(results)["networks"]
    assert networks
    for network in networks:
        assert sum(network["instruction_classes"].values()) == network["instructions"]
        parts = ("arena_bytes", "static_ram_bytes", "stack_bytes")
        assert network["sram_bytes"] == sum(network[part] for part in parts)
        assert network["flash_bytes"] == network["code_bytes"] + network["weight_bytes"]
        operators = network["operators"]
        assert sum(entry["macs"] for entry in operators) == network["macs"]
        assert all(sum(entry["instruction_classes"].values()) == entry["instructions"] for entry in operators)
        # A loop needs a load for each weight or value, no kernel takes a hundred instructions for it.
        assert network["macs"] / 2 < network["instructions"] < 100 * network["macs"]


def test_page_shows_what_the_json_holds(results: Path) -> None:
    page = (results / "networks.md").read_text()
    for network in read(results)["networks"]:
        row = next(line for line in page.splitlines() if line.startswith(f"| {network['name']} "))
        for key in ("instructions", "sram_bytes", "arena_bytes", "flash_bytes"):
            assert f" {network[key]:,} |" in row
        for peer in network["peers"]:
            assert f"{peer['times_mcukit']['instructions']:.2f}x" in page


def test_what_fusing_could_save_is_a_part_of_the_network(results: Path) -> None:
    page = (results / "networks.md").read_text()
    for network in read(results)["networks"]:
        fusion, operators = network["fusion"], {entry["op"]: entry for entry in network["operators"]}
        # The operators that could be fused are there, or nothing is to be saved.
        assert (fusion["expansion"] > 0) == ("depthwise_conv2d" in operators)
        adding = operators.get("add", {"instruction_classes": {"load": 0, "store": 0}})["instruction_classes"]
        assert fusion["transfers"] == adding["load"] + adding["store"]
        assert fusion["expansion"] + fusion["transfers"] < network["instructions"] / 10
        shares = [f"{100 * fusion[key] / network['instructions']:.1f}" for key in ("expansion", "transfers")]
        assert re.search(rf"^\| {network['name']} +\| +{shares[0]} \| +{shares[1]} \|$", page, re.MULTILINE)


def test_picture_shows_what_the_json_holds(results: Path) -> None:
    picture, content = (results / "networks.svg").read_text(), read(results)
    assert picture == render_picture(content)
    assert ET.fromstring(picture).tag.endswith("svg")  # noqa: S314 - our own file
    for network in (network for network in content["networks"] if network["peers"]):
        assert network["title"] in picture
        assert all(peer["name"] in picture for peer in network["peers"])


def test_results_name_neither_machine_nor_day(results: Path) -> None:
    for file in ("networks.md", "networks.json", "networks.svg"):
        text = (results / file).read_text()
        assert not re.search(r"(/tmp|/home|/root|/work|/Users)\b", text)
        assert not re.search(r"\b20\d\d-\d\d-\d\d\b|\d\d:\d\d:\d\d", text)


def test_ratios_are_the_peers_figures_over_ours() -> None:
    compared = [(network, peer) for network in read(KEPT)["networks"] for peer in network["peers"]]
    assert compared
    for network, peer in compared:
        ratios = peer["times_mcukit"]
        assert ratios["instructions"] == pytest.approx(peer["instructions"] / network["instructions"], abs=1e-4)
        assert ratios["ram"] == pytest.approx(peer["ram"] / network["sram_bytes"], abs=1e-4)
        assert ratios["flash"] == pytest.approx(peer["flash"] / network["flash_bytes"], abs=1e-4)


def test_unknown_network_is_refused() -> None:
    done = run_benchmark("--only", "alexnet")
    assert done.returncode == 2
    assert "'alexnet' is none of demo, vww" in done.stderr
