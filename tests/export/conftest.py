# SPDX-License-Identifier: Apache-2.0
"""PlatformIO, in a folder of its own."""

from __future__ import annotations

import pytest

from tests.export.offline_platformio import OfflinePlatformIO


@pytest.fixture(scope="session")
def pio(tmp_path_factory: pytest.TempPathFactory) -> OfflinePlatformIO:
    return OfflinePlatformIO.in_folder(tmp_path_factory.mktemp("platformio"))
