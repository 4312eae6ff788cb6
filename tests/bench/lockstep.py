# SPDX-License-Identifier: Apache-2.0
"""A board whose time the test keeps, and a line to it that does damage as a test wants."""

from __future__ import annotations

__all__ = ["Damage", "Line", "LockstepBoard", "build_lockstep"]

import random
import struct
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from mcukit.bench.firmware import SerialOptions, build_serial_program
from mcukit.emulation.build import CSources
from mcukit.emulation.targets import TARGETS

TICKS_PER_SECOND = 1_000_000

_HEAD = struct.Struct("<BI")
_TURN = struct.Struct("<II")
_WAITS = 2

# In one turn time goes on by as much at most, so that both ends notice what happens in between.
_TURN_SECONDS = 0.05


def build_lockstep(sources: CSources, folder: Path, options: SerialOptions | None = None) -> Path:
    """The application for a LockstepBoard, under sanitizers."""
    port = Path(__file__).with_name("lockstep_port.c")
    folder.mkdir(parents=True, exist_ok=True)
    chosen = options or SerialOptions()
    return build_serial_program(sources, TARGETS["host"], folder, chosen, port=[port], sanitize=True)


class LockstepBoard:
    """The application in a process of its own, which runs until it waits for the test."""

    def __init__(self, program: Path) -> None:
        self._program = program
        self._process: subprocess.Popen[bytes] | None = None
        self._boot = b""
        self.restart()

    def restart(self) -> None:
        """As if the power went off and on."""
        self.close()
        self._process = subprocess.Popen(
            [str(self._program)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={"ASAN_OPTIONS": "detect_leaks=0"},
        )
        self._boot = self._until_it_waits()

    def turn(self, now: float, data: bytes) -> bytes:
        """What the board sends after it got the bytes at that time."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(_TURN.pack(int(now * TICKS_PER_SECOND) & 0xFFFFFFFF, len(data)) + data)
        self._process.stdin.flush()
        sent, self._boot = self._boot + self._until_it_waits(), b""
        return sent

    def close(self) -> None:
        """Ends the process; it must not have failed before."""
        if self._process is not None:
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            self._process.stdin.close()
            assert self._process.wait(10) == 0
            self._process.stdout.close()
            self._process = None

    def _until_it_waits(self) -> bytes:
        assert self._process is not None
        assert self._process.stdout is not None
        sent = b""
        while True:
            head = self._process.stdout.read(_HEAD.size)
            if not head:
                assert self._process.wait(10) == 0, "the application has crashed"
                self.restart()
                return sent
            kind, count = _HEAD.unpack(head)
            sent += self._process.stdout.read(count)
            if kind == _WAITS:
                return sent


@dataclass
class Damage:
    """What happens to bytes on their way, each with its probability, and to the board.

    resets, stall: after that many bytes in both directions the board restarts, or answers no more. garble: all bytes
    of the board are turned into others, as at a wrong baud rate.
    """

    drop: float = 0.0
    flip: float = 0.0
    repeat: float = 0.0
    insert: float = 0.0
    repeat_message: float = 0.0
    lose_message: float = 0.0
    resets: tuple[int, ...] = ()
    stall: int | None = None
    garble: bool = False


@dataclass
class Line:
    """The transport to a LockstepBoard. Its clock is the only one there is: waiting costs no time of the tester.

    sessions: numbers that were given to sessions. carried: bytes in both directions by now.
    """

    board: LockstepBoard
    damage: Damage = field(default_factory=Damage)
    seed: int = 0
    name: str = "line"
    seconds_per_byte: float = 0.0

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._now = 0.0
        self.carried = 0
        self.sessions = 0
        self._resets = list(self.damage.resets)
        self._to_board = b""

    def next_session(self) -> int:
        self.sessions += 1
        return self.sessions

    def write(self, data: bytes) -> None:
        self._to_board += self._damaged(data)

    def read(self, timeout_seconds: float) -> bytes:
        end = self._now + max(0.0, timeout_seconds)
        while True:
            data, self._to_board = self._to_board, b""
            received = self._damaged(self.board.turn(self._now, data) if not self._is_stalled() else b"")
            self._restart_if_due()
            if received or self._now >= end:
                return received
            self._now = min(end, self._now + _TURN_SECONDS)

    def now(self) -> float:
        return self._now

    def close(self) -> None:
        self.board.close()

    def _is_stalled(self) -> bool:
        return self.damage.stall is not None and self.carried >= self.damage.stall

    def _restart_if_due(self) -> None:
        while self._resets and self.carried >= self._resets[0]:
            self._resets.pop(0)
            self._to_board = b""
            self.board.restart()

    def _damaged(self, data: bytes) -> bytes:
        self.carried += len(data)
        if self.damage.garble:
            return bytes((byte * 5 + 0x81) & 0xFF | 0x80 for byte in data)
        if data and self._random.random() < self.damage.lose_message:
            return b""
        if data and self._random.random() < self.damage.repeat_message:
            data += data
        return b"".join(self._damaged_byte(byte) for byte in data)

    def _damaged_byte(self, byte: int) -> bytes:
        chance, result = self._random.random, bytes((byte,))
        if chance() < self.damage.flip:
            result = bytes((byte ^ 1 << self._random.randrange(8),))
        if chance() < self.damage.repeat:
            result += result
        if chance() < self.damage.insert:
            result += bytes((self._random.randrange(256),))
        return b"" if chance() < self.damage.drop else result
