# SPDX-License-Identifier: Apache-2.0
"""An emulated board behind a TCP socket, with a line and a power supply that fail as a test wants."""

from __future__ import annotations

__all__ = ["Faults", "FaultyBoard"]

import random
import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

from mcukit.bench.transport import ProcessTransport
from mcukit.errors import McukitError

_TICK_SECONDS = 0.01


@dataclass(frozen=True)
class Faults:
    """Probabilities for each byte in both directions, and what happens once so many bytes have been carried.

    garble: every byte of the board becomes another one, as at a wrong baud rate. comes_back: the next connection after
    the board vanished holds.
    """

    drop: float = 0.0
    flip: float = 0.0
    repeat: float = 0.0
    reset_at: int | None = None
    stall_at: int | None = None
    vanish_at: int | None = None
    garble: bool = False
    comes_back: bool = False

    @property
    def harms(self) -> bool:
        return bool(self.drop or self.flip or self.repeat)


class FaultyBoard:
    """Serves connections one after the other, each with the board just powered on. port: for `--port`.

    resets: how often the power failed by now. carried: bytes in both directions.
    """

    def __init__(self, command: Sequence[str], faults: Faults, seed: int = 1) -> None:
        self.resets = 0
        self.carried = 0
        self._has_vanished = False
        self._command = list(command)
        self._faults = faults
        self._random = random.Random(seed)
        self._ended = threading.Event()
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = "socket://{}:{}".format(*self._server.getsockname())
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        # The next accept fails at once.
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join(20)
        assert not self._thread.is_alive()

    def _serve(self) -> None:
        while not self._ended.is_set():
            try:
                line, _ = self._server.accept()
            except OSError:
                return
            with line:
                line.settimeout(_TICK_SECONDS)
                self._connect(line)

    def _connect(self, line: socket.socket) -> None:
        board = ProcessTransport(self._command)
        try:
            while not self._ended.is_set():
                arrived = self._from(lambda: line.recv(4096))
                if arrived is None:
                    return
                if self._due(self._faults.vanish_at) and not (self._has_vanished and self._faults.comes_back):
                    self._has_vanished = True
                    return
                if self._due(self._faults.reset_at) and self.resets == 0:
                    self.resets += 1
                    board.close()
                    board = ProcessTransport(self._command)
                if self._due(self._faults.stall_at):
                    continue
                board.write(self._damaged(arrived))
                answer = self._damaged(board.read(_TICK_SECONDS))
                if self._faults.garble:
                    answer = bytes((byte * 5 + 0x81) & 0xFF | 0x80 for byte in answer)
                line.sendall(answer)
        except (OSError, McukitError):
            return
        finally:
            board.close()

    def _from(self, receive: Callable[[], bytes]) -> bytes | None:
        """What has arrived; None at the end."""
        with suppress(TimeoutError):
            return receive() or None
        return b""

    def _due(self, place: int | None) -> bool:
        return place is not None and self.carried >= place

    def _damaged(self, data: bytes) -> bytes:
        self.carried += len(data)
        return b"".join(map(self._damaged_byte, data)) if self._faults.harms else data

    def _damaged_byte(self, byte: int) -> bytes:
        chance, faults = self._random.random, self._faults
        if chance() < faults.drop:
            return b""
        if chance() < faults.flip:
            return bytes((byte ^ 1 << self._random.randrange(8),))
        return bytes((byte, byte)) if chance() < faults.repeat else bytes((byte,))
