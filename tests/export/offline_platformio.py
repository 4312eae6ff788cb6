# SPDX-License-Identifier: Apache-2.0
"""PlatformIO as a command, without a network: a folder of its own for all that it keeps, and SCons from PyPI.

PlatformIO takes SCons from its own registry. Its package of that holds what PyPI's does, so that a package which is no
more than a call of the latter will do.
"""

from __future__ import annotations

__all__ = ["OfflinePlatformIO"]

import ast
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_SCONS = """import sys

import SCons.Script

sys.exit(SCons.Script.main())
"""
_SECONDS = 300


@dataclass(frozen=True)
class OfflinePlatformIO:
    """core: the folder in place of ~/.platformio."""

    core: Path

    @classmethod
    def in_folder(cls, core: Path) -> OfflinePlatformIO:
        """A new one. Raises ImportError where platformio is not installed."""
        from platformio.dependencies import get_core_dependencies

        version = get_core_dependencies()["tool-scons"].lstrip("~")
        package = core / "packages" / "tool-scons"
        package.mkdir(parents=True)
        description = {"name": "tool-scons", "version": version}
        spec = {"owner": "platformio", "id": None, "name": "tool-scons", "requirements": None, "uri": None}
        (package / "scons.py").write_text(_SCONS)
        (package / "package.json").write_text(json.dumps(description))
        (package / ".piopm").write_text(json.dumps({"type": "tool", **description, "spec": spec}))
        return cls(core)

    def run(self, project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`pio ARGUMENTS` in a project's folder."""
        return self.python(project, "-m", "platformio", *arguments)

    def python(self, folder: Path, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """`python ARGUMENTS` in a folder, for what imports PlatformIO: that has much to tell when it ends."""
        settings = {
            "PLATFORMIO_CORE_DIR": str(self.core),
            "PLATFORMIO_SETTING_ENABLE_TELEMETRY": "no",
            "PLATFORMIO_DISABLE_COLOR": "true",
            # A registry that is not there is noticed at once, and is not waited for.
            "HTTPS_PROXY": "http://127.0.0.1:9",
            "HTTP_PROXY": "http://127.0.0.1:9",
        }
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=folder,
            env={**os.environ, **settings},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )

    def problems_of(self, project: Path) -> list[Any]:
        """What PlatformIO finds wrong with platformio.ini: all of its errors and warnings."""
        done = self.run(project, "project", "config", "--lint", "--json-output")
        # Not JSON, as of PlatformIO 6.2, but Python.
        found = ast.literal_eval(done.stdout)
        return [*found["errors"], *found["warnings"]]
