# SPDX-License-Identifier: Apache-2.0
"""The serial application around the small network, compiled once for each way to build it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from mcukit.bench.firmware import SerialOptions
from mcukit.emulation.build import CSources
from mcukit.workflow.build import Build
from tests.bench.boards import BOARD, tiny_build
from tests.bench.lockstep import build_lockstep
from tests.bench.networks import write_network

SourcesOf = Callable[[str], CSources]
ProgramOf = Callable[..., Path]


@pytest.fixture(scope="session")
def sources_of(tmp_path_factory: pytest.TempPathFactory) -> SourcesOf:
    """The network's C by the name of its plan."""
    folder = tmp_path_factory.mktemp("networks")
    return cache(lambda plan: write_network(folder / plan, plan))


@pytest.fixture(scope="session")
def program_of(tmp_path_factory: pytest.TempPathFactory, sources_of: SourcesOf) -> ProgramOf:
    """The application for a LockstepBoard, by the name of the plan and SerialOptions."""

    @cache
    def build(plan: str, options: SerialOptions | None = None) -> Path:
        return build_lockstep(sources_of(plan), tmp_path_factory.mktemp("program"), options)

    return build


@pytest.fixture(scope="session")
def board_build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """The build of a small network for a board, with instructions counted."""
    return tiny_build(tmp_path_factory.mktemp("board_build"), board=BOARD)


@pytest.fixture(scope="session")
def free_build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """The build of another network of the same form, for no board: its firmware has an environment for each."""
    return tiny_build(tmp_path_factory.mktemp("free_build"), board=None, name="other")
