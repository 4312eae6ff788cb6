# SPDX-License-Identifier: Apache-2.0
"""`pio test`: reads from a board, emulated or real, whether the network gives the outputs that are known of it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click
from platformio.public import TestCase, TestRunnerBase, TestStatus

SECONDS = 600
BEGINS = re.compile(r"known-answer begin (\d+)")
CASE = re.compile(r"known-answer (\d+) (equal|differs)(.*)")
ENDS = "known-answer end"


class CustomTestRunner(TestRunnerBase):
    """A board repeats its test for ever: what counts is one pass from its beginning to its end."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._expected = 0
        self._cases: dict[int, tuple[str, str]] = {}

    def stage_testing(self) -> None:
        """Real boards are read as PlatformIO reads them."""
        if self.options.without_testing:
            return
        if hasattr(self.platform, "serial_lines"):
            self._test_emulated()
        else:
            super().stage_testing()
        if not self.test_suite.is_finished():
            raise RuntimeError("the board did not go through its test in time, or wrote what no test writes")

    def _test_emulated(self) -> None:
        environment = self.test_suite.env_name
        board = self.platform.board_config(self.project_config.get("env:" + environment, "board"))
        image = Path(self.project_config.get("platformio", "build_dir")) / environment / "firmware.elf"
        with self.platform.serial_lines(board, str(image.resolve()), SECONDS) as lines:
            for line in lines:
                self.on_testing_line_output(line)
                if self.test_suite.is_finished():
                    return

    def on_testing_line_output(self, line: str) -> None:
        """Notes a line, and at the end of a whole pass its results."""
        line = line.strip()
        begins, case = BEGINS.fullmatch(line), CASE.fullmatch(line)
        if begins:
            self._expected, self._cases = int(begins[1]), {}
        elif case and self._expected:
            self._cases[int(case[1])] = (case[2], case[3].strip())
        elif line == ENDS and self._expected and sorted(self._cases) == list(range(self._expected)):
            for number, (verdict, where) in sorted(self._cases.items()):
                status = TestStatus.PASSED if verdict == "equal" else TestStatus.FAILED
                name = "known answer {}".format(number)
                case = TestCase(name, status, where or None, stdout="{}: {}".format(name, where or verdict))
                self.test_suite.add_case(case)
                click.echo(case.humanize())
            self.test_suite.on_finish()
