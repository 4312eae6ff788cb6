# SPDX-License-Identifier: Apache-2.0
"""What all tests share: a cache of their own, in which everything is compiled once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--every-input", action="store_true",
        help="Run all real inputs of large networks on slow executors too: it takes half an hour more.",
    )  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The real networks first, the largest of them before all: processes that run out of tests help with what is left.

    In the end both would wait for one of them to quantize the largest one.
    """
    items.sort(key=lambda item: ("networks" not in item.path.parts, "mobilenet-v2" not in item.name))


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all test processes share: they have base folders of their own in it."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session", autouse=True)
def own_cache(shared_folder: Path) -> Iterator[None]:
    """Keeps the user's cache out of the tests, and what it holds from before."""
    (shared_folder / "cache").mkdir(exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(shared_folder / "cache"))
        yield
