# SPDX-License-Identifier: Apache-2.0
"""Byte streams to a board: serial ports, sockets, and programs that stand for a board. All waits have a limit."""

from __future__ import annotations

__all__ = ["ProcessTransport", "SerialTransport", "SocketTransport", "Transport"]

import contextlib
import select
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from mcukit.errors import McukitError

try:
    import termios

    _PORT_ERRORS: tuple[type[Exception], ...] = (OSError, termios.error)
except ImportError:
    _PORT_ERRORS = (OSError,)
_OPEN_ERRORS: tuple[type[Exception], ...] = (*_PORT_ERRORS, ValueError)

_WRITE_SECONDS = 10.0
_READ_BYTES = 4096
_BITS_PER_BYTE = 10


class Transport(Protocol):
    """A stream in both directions that may lose, damage and repeat bytes.

    name: for messages. seconds_per_byte: what a byte takes at least, 0 where that can be neglected.
    All methods may raise McukitError "board-unreachable" once the stream is broken.
    """

    name: str
    seconds_per_byte: float

    def write(self, data: bytes) -> None: ...

    def read(self, timeout_seconds: float) -> bytes:
        """What has arrived, at least a byte; nothing after timeout_seconds without any."""

    def now(self) -> float:
        """The time in seconds, from any beginning."""

    def close(self) -> None: ...


class SerialTransport:
    """A serial port, at 8 data bits, no parity, one stop bit.

    port: such as /dev/ttyACM0. A pseudo-terminal is one too.
    Raises McukitError "missing-package" without pyserial, "board-unreachable" if the port can't be opened.
    """

    def __init__(self, port: str, baud: int = 115_200) -> None:
        self.name = port
        self.seconds_per_byte = _BITS_PER_BYTE / baud
        serial = _import_serial()
        try:
            self._port: Any = serial.Serial(port, baud, timeout=0, write_timeout=_WRITE_SECONDS, exclusive=True)
        except _OPEN_ERRORS as error:
            raise McukitError(
                "board-unreachable",
                f"the serial port can't be opened: {error}",
                where=port,
                hint="is the board connected, is the port free, and may you use it? On Linux: group dialout",
            ) from error

    def write(self, data: bytes) -> None:
        try:
            self._port.write(data)
        except _PORT_ERRORS as error:
            raise _broken(self.name, error) from error

    def read(self, timeout_seconds: float) -> bytes:
        try:
            self._port.timeout = max(0.0, timeout_seconds)
            first: bytes = self._port.read(1)
            return first + bytes(self._port.read(self._port.in_waiting)) if first else first
        except _PORT_ERRORS as error:
            raise _broken(self.name, error) from error

    def now(self) -> float:
        return time.monotonic()

    def close(self) -> None:
        self._port.close()


class SocketTransport:
    """A connected stream socket."""

    def __init__(self, connected: socket.socket, name: str = "socket") -> None:
        self.name = name
        self.seconds_per_byte = 0.0
        self._socket = connected
        self._socket.settimeout(_WRITE_SECONDS)

    @classmethod
    def connect(cls, host: str, port: int, timeout_seconds: float = 5.0) -> SocketTransport:
        """To a serial line that is served over TCP. Raises McukitError "board-unreachable"."""
        try:
            return cls(socket.create_connection((host, port), timeout_seconds), f"{host}:{port}")
        except OSError as error:
            raise _broken(f"{host}:{port}", error) from error

    def write(self, data: bytes) -> None:
        try:
            self._socket.sendall(data)
        except OSError as error:
            raise _broken(self.name, error) from error

    def read(self, timeout_seconds: float) -> bytes:
        try:
            if not select.select([self._socket], [], [], max(0.0, timeout_seconds))[0]:
                return b""
            data = self._socket.recv(_READ_BYTES)
        except OSError as error:
            raise _broken(self.name, error) from error
        if not data:
            raise _broken(self.name, EOFError("the other end closed it"))
        return data

    def now(self) -> float:
        return time.monotonic()

    def close(self) -> None:
        self._socket.close()


class ProcessTransport(SocketTransport):
    """A program whose standard streams are the serial line. It ends with the transport.

    process: the program.

    Raises McukitError "board-unreachable" if it can't be started.
    """

    def __init__(self, command: Sequence[str]) -> None:
        ours, theirs = socket.socketpair()
        super().__init__(ours, Path(command[0]).name)
        try:
            line = theirs.fileno()
            self.process = subprocess.Popen(list(command), stdin=line, stdout=line, stderr=subprocess.DEVNULL)
        except OSError as error:
            ours.close()
            raise _broken(self.name, error) from error
        finally:
            theirs.close()

    def close(self) -> None:
        super().close()
        self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(2.0)
            return
        self.process.kill()
        self.process.wait()


def _import_serial() -> Any:
    try:
        import serial
    except ImportError as error:
        raise McukitError(
            "missing-package", "talking to serial ports needs pyserial", hint="pip install 'mcukit[bench]'"
        ) from error
    return serial


def _broken(name: str, error: Exception) -> McukitError:
    return McukitError(
        "board-unreachable", f"the connection is broken: {error}", where=name, hint="is the board still connected?"
    )
