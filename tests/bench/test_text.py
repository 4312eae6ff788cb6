# SPDX-License-Identifier: Apache-2.0
"""The text commands of the public benchmarks: their runner's sequences, and what it never sends."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator

import pytest

from mcukit.bench.client import BoardClient
from mcukit.bench.firmware import SerialOptions
from mcukit.bench.protocol import Frame, FrameType, encode
from tests.bench.conftest import ProgramOf
from tests.bench.lockstep import Line, LockstepBoard
from tests.bench.networks import INPUTS, expected_outputs

TEXT = SerialOptions(board="test board", text_model="vww01", text_input_offset=128, hooks=False)
IN_PLACE = SerialOptions(keeps_input=False)


class Runner:
    """What the public runner does to a port: a command and a '%', then lines until one holds "m-ready"."""

    def __init__(self, board: LockstepBoard) -> None:
        self.board = board
        self._time = 0.0
        assert self._lines(b"")[-1] == "m-ready"  # the greeting

    def command(self, text: str) -> list[str]:
        """The lines up to the one with "m-ready", which is the last that the board sends."""
        lines = self._lines(text.encode("latin-1") + b"%")
        assert ["m-ready" in line for line in lines] == [False] * (len(lines) - 1) + [True]
        return lines

    def load(self, data: bytes, bytes_per_command: int) -> list[str]:
        """As the runner loads a file: 31 bytes in a command, or 26 through the interface board."""
        self.command(f"db load {len(data)}")
        for start in range(0, len(data), bytes_per_command):
            lines = self.command(f"db {data[start : start + bytes_per_command].hex()}")
        return lines

    def _lines(self, data: bytes) -> list[str]:
        self._time += 0.01
        *lines, rest = self.board.turn(self._time, data).decode().split("\r\n")
        assert rest == ""
        return lines


@pytest.fixture
def runner(program_of: ProgramOf) -> Iterator[Runner]:
    board = LockstepBoard(program_of("layers", TEXT))
    yield Runner(board)
    board.close()


def pixels(index: int) -> bytes:
    """An input as data sets hold it: unsigned."""
    return bytes(int(value) + 128 for value in INPUTS[index])


def results(lines: list[str]) -> list[float]:
    """As the runner reads them."""
    (found,) = [match for line in lines if (match := re.match(r"^m-results-\[([^]]+)\]$", line))]
    return [float(value) for value in found.group(1).split(",")]


def laps(lines: list[str]) -> list[int]:
    return [int(match.group(1)) for line in lines if (match := re.match(r"^m-lap-us-([0-9]+)$", line))]


def test_the_greeting(program_of: ProgramOf) -> None:
    board = LockstepBoard(program_of("layers", TEXT))
    lines = board.turn(0, b"").decode().split("\r\n")
    assert lines[0] == "m-timestamp-mode-performance"
    assert re.fullmatch("m-lap-us-[0-9]+", lines[1])
    assert all(line.startswith("m-banner-[") for line in lines[2:-3])
    assert lines[-3:] == ["m-init-done", "m-ready", ""]
    board.close()


def test_the_runner_recognizes_the_board(runner: Runner) -> None:
    assert runner.command("name") == ["m-name-dut-[test board]", "m-ready"]
    assert runner.command("profile") == [
        "m-profile-[ULPMark for tinyML Firmware V0.0.1]",
        "m-model-[vww01]",
        "m-ready",
    ]
    first, second = runner.command("timestamp"), runner.command("timestamp")
    assert len(first) == len(second) == 2
    assert laps(first) < laps(second)
    assert "infer N [W]  : N inferences after W that are not timed" in runner.command("help")


@pytest.mark.parametrize("bytes_per_command", [31, 26])
def test_the_runner_measures_accuracy(runner: Runner, bytes_per_command: int) -> None:
    for index in range(3):
        assert runner.load(pixels(index), bytes_per_command) == ["m-load-done", "m-ready"]
        lines = runner.command("infer 1 0")
        assert [line for line in lines if not line.startswith(("m-lap", "m-results"))] == [
            "m-warmup-start-0",
            "m-warmup-done",
            "m-infer-start-1",
            "m-infer-done",
            "m-ready",
        ]
        assert [index for index, line in enumerate(lines) if line.startswith("m-lap")] == [3, 4]
        # The scale is 1 and the zero point 0: three decimals are exact.
        assert results(lines) == list(expected_outputs()[index])
        assert results(runner.command("results")) == list(expected_outputs()[index])


def test_the_runner_measures_performance(runner: Runner) -> None:
    runner.load(pixels(0), 31)
    durations = []
    for count in (1, 5):
        lines = runner.command(f"infer {count} 2")
        assert lines[:3] == ["m-warmup-start-2", "m-warmup-done", f"m-infer-start-{count}"]
        assert results(lines) == list(expected_outputs()[0])
        start, end = laps(lines)
        durations.append(end - start)
    assert durations[1] > durations[0]


def test_an_inference_has_ten_warmups_by_default(runner: Runner) -> None:
    runner.load(pixels(0), 31)
    assert runner.command("infer 3")[:3] == ["m-warmup-start-10", "m-warmup-done", "m-infer-start-3"]
    assert runner.command("infer")[:3] == ["m-warmup-start-10", "m-warmup-done", "m-infer-start-1"]


def test_loaded_bytes_are_printed_as_they_were_sent(runner: Runner) -> None:
    assert runner.command("db load 10") == ["m-[Expecting 10 bytes]", "m-ready"]
    assert runner.command("db 000102030405") == ["m-ready"]
    assert runner.command("db F0fE80FF0000") == ["m-load-done", "m-ready"]
    assert runner.command("db print") == ["m-buffer-00-01-02-03-04-05-f0-fe", "m-buffer-80-ff", "m-ready"]


ERRORS = {
    "nothing": "Unknown command: nothing",
    "db": "Command 'db' requires a subcommand",
    "db load": "Command 'db load' requires the # of bytes",
    "db load 0": "Command 'db load' must be >0 bytes",
    "db load x": "Command 'db load' must be >0 bytes",
    "db load -1": "Command 'db load' must be >0 bytes",
    "db load 361": "The input has no more bytes than 360",
    "db load 4294967297": "Command 'db load' must be >0 bytes",
    "db 00": "Command 'db' requires 'db load' first",
    "db 0": "Insufficient number of hex digits",
    "db 0g": "Invalid hex digit in 0g",
    "infer 0": "Inference iterations must be >0",
    "infer -1": "Inference iterations must be >0",
    "infer 1 -1": "Inference warmup must be >=0",
    "infer 1 x": "Inference warmup must be >=0",
    "infer 100001": "No more inferences at a time than 100000",
    "infer 1 0": "The input is not complete or used up",
    "results": "No inference has run",
    "name\x80": "Damaged command",
    "x" * 81: "Damaged command",
    "db " + "00" * 39: "Damaged command",
}


@pytest.mark.parametrize("command", ERRORS)
def test_a_mistake_is_said_and_the_next_command_works(runner: Runner, command: str) -> None:
    assert runner.command(command) == [f"e-[{ERRORS[command]}]", "m-ready"]
    assert runner.command("name") == ["m-name-dut-[test board]", "m-ready"]


def test_a_bad_digit_loads_nothing(runner: Runner) -> None:
    runner.command("db load 2")
    assert runner.command("db 000g") == ["e-[Invalid hex digit in 000g]", "m-ready"]
    assert runner.command("db print") == ["m-ready"]
    assert runner.command("db 1234") == ["m-load-done", "m-ready"]


def test_spaces_and_line_ends_do_no_harm(runner: Runner) -> None:
    assert runner.command("\r\n  db   load  2 ") == ["m-[Expecting 2 bytes]", "m-ready"]
    assert runner.command("") == ["m-ready"]


def test_without_a_kept_input_each_inference_needs_its_own(program_of: ProgramOf) -> None:
    board = LockstepBoard(program_of("stream", IN_PLACE))
    runner = Runner(board)
    runner.load(INPUTS[0].tobytes(), 31)
    refusal = ["e-[This firmware keeps no input: one inference for each]", "m-ready"]
    assert runner.command("infer 2 0") == runner.command("infer 1 1") == refusal
    assert results(runner.command("infer 1 0")) == list(expected_outputs()[0])
    assert runner.command("infer 1 0") == ["e-[The input is not complete or used up]", "m-ready"]
    assert runner.command("db print") == ["e-[The input is used up]", "m-ready"]
    assert results(runner.command("results")) == list(expected_outputs()[0])
    board.close()


def test_for_energy_a_pin_stands_in_for_times(program_of: ProgramOf) -> None:
    board = LockstepBoard(program_of("layers", SerialOptions(energy_mode=True)))
    runner = Runner(board)
    runner.load(INPUTS[0].tobytes(), 26)
    lines = runner.command("infer 2 1")
    assert lines[:3] == ["m-warmup-start-1", "m-warmup-done", "m-infer-start-2"]
    assert lines[3:6] == ["pulse", "pulse", "m-infer-done"]
    assert runner.command("timestamp") == ["pulse", "m-ready"]
    board.close()


def test_a_text_command_that_touches_the_network_ends_the_session(program_of: ProgramOf) -> None:
    line = Line(LockstepBoard(program_of("layers", SerialOptions())))
    client = BoardClient(line, new_session=iter((1, 2, 3)).__next__)
    client.load(INPUTS[0])
    line.write(b"db load 4%db 00000000%")
    assert client.infer().output.tolist() == list(expected_outputs()[0])  # in session 2, with the input given anew
    line.write(encode(Frame(FrameType.BANNER, 1, 9, bytes(4))))
    assert encode(Frame(FrameType.BANNER | FrameType.REPLY, 1, 9, b"\x01")) in line.read(1)
    line.close()


def test_what_a_session_loads_is_not_added_to_by_text(program_of: ProgramOf) -> None:
    line = Line(LockstepBoard(program_of("layers", SerialOptions())))
    line.write(b"db load 300%")
    client = BoardClient(line)
    client.load(INPUTS[1])
    line.write(b"db 00%")
    assert b"e-[Command 'db' requires 'db load' first]" in line.read(1)
    assert client.infer().output.tolist() == list(expected_outputs()[1])
    line.close()


def garbage(seed: int) -> bytes:
    """Noise of several kinds: any bytes, the special ones, pieces of commands, whole frames cut and joined."""
    chance = random.Random(seed)
    pieces = []
    for _ in range(chance.randrange(1, 40)):
        kind = chance.randrange(4)
        if kind == 0:
            pieces.append(chance.randbytes(chance.randrange(300)))
        elif kind == 1:
            pieces.append(bytes(chance.choices((0xC0, 0xC1, 0xDB, 0x25, 0xE0, 0x05), k=chance.randrange(20))))
        elif kind == 2:
            pieces.append(chance.choice((b"db load 9%", b"db 00", b"infer 1 0%", b"na", b"help", b"results%", b"%")))
        else:
            frame = Frame(chance.randrange(256), chance.randrange(3), chance.randrange(4), chance.randbytes(9))
            pieces.append(encode(frame)[chance.randrange(3) :])
    return b"".join(pieces)


@pytest.mark.parametrize("seed", range(60))
def test_after_garbage_the_board_answers(runner: Runner, seed: int) -> None:
    runner.board.turn(0, garbage(seed))
    answer = runner.board.turn(0, b"%name%")
    assert answer.endswith(b"m-ready\r\nm-name-dut-[test board]\r\nm-ready\r\n")
