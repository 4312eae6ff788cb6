# SPDX-License-Identifier: Apache-2.0
"""QEMU's machines as boards of PlatformIO: how an image is run, and how its serial line is read."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from platformio.exception import UserSideException
from platformio.platform.base import PlatformBase


class McukitqemuPlatform(PlatformBase):
    """What the build script and the test runner ask for."""

    def configure_default_packages(self, options: Any, targets: Any) -> Any:
        """Comes before SCons, which takes what follows a $ for the name of a variable, and would build elsewhere."""
        project = str(Path.cwd())
        if "$" in project:
            message = "PlatformIO can't build in {}: move the project to a folder without $ in its path"
            raise UserSideException(message.format(project))
        return super().configure_default_packages(options, targets)

    def is_embedded(self) -> bool:
        """Programs run on a board and not on this computer, although no package uploads them."""
        return True

    def emulator_command(self, board: Any, image: str) -> list[str]:
        """Runs an image with its serial line on the standard streams. board: its configuration.

        Its time goes on by a nanosecond with each instruction: what it measures is the same in every run.
        """
        machine = [*board.get("emulator.machine"), "-icount", "shift=0,sleep=off"]
        streams = ["-display", "none", "-monitor", "none", "-serial", "stdio"]
        faults = ["-semihosting-config", "enable=on,target=native"]
        return [board.get("emulator.command"), *machine, *streams, *faults, "-kernel", image]

    def missing_tools(self, board: Any) -> list[str]:
        """For each command that is not installed a sentence that says how to get it."""
        return [
            "{} is not installed. On Debian and Ubuntu: {}".format(tool, how)
            for tool, how in board.get("build.tools").items()
            if shutil.which(tool) is None
        ]

    def serial_lines(self, board: Any, image: str, seconds: float) -> contextlib.closing[Iterator[str]]:
        """What the board writes from power-on, line by line, for so long at most.

        To be used in a `with` statement, at whose end the emulator is switched off.
        """
        return contextlib.closing(self._lines(self.emulator_command(board, image), seconds))

    @staticmethod
    def _lines(command: list[str], seconds: float) -> Iterator[str]:
        # A program that faults leaves a file where the emulator runs.
        with tempfile.TemporaryDirectory() as scratch:
            process = subprocess.Popen(
                command, cwd=scratch, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
            )
            limit = threading.Timer(seconds, process.kill)
            limit.start()
            try:
                for line in process.stdout:
                    yield line.decode("ascii", "replace").rstrip("\r\n")
            finally:
                limit.cancel()
                process.kill()
                process.stdout.close()
                process.wait()
