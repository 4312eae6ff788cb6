# SPDX-License-Identifier: Apache-2.0
"""The serial application around the small network, compiled once for each way to build it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from mcukit.bench.firmware import SerialOptions
from mcukit.emulation.build import CSources
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
