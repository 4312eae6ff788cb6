# SPDX-License-Identifier: Apache-2.0
"""Byte streams to a board: serial ports, sockets, and programs that stand for a board. All waits have a limit."""

from __future__ import annotations

__all__ = ["ProcessTransport", "SerialTransport", "SocketTransport", "Transport", "import_serial"]

import errno
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from mcukit.bench import _guard
from mcukit.errors import McukitError

try:
    import termios

    _PORT_ERRORS: tuple[type[Exception], ...] = (OSError, termios.error)
except ImportError:
    _PORT_ERRORS = (OSError,)
_OPEN_ERRORS: tuple[type[Exception], ...] = (*_PORT_ERRORS, ValueError, OverflowError)

_WRITE_SECONDS = 10.0
_READ_BYTES = 4096
_BITS_PER_BYTE = 10
_END_SECONDS = 2.0
_SHOWN_CHARACTERS = 500


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
        serial = import_serial()
        try:
            self._port: Any = serial.Serial(port, baud, timeout=0, write_timeout=_WRITE_SECONDS, exclusive=True)
        except _OPEN_ERRORS as error:
            reason, hint = _why_closed(error)
            raise McukitError(
                "board-unreachable",
                f"the serial port can't be opened: {reason}",
                where=port,
                hint=hint,
            ) from error

    def write(self, data: bytes) -> None:
        try:
            self._port.write(data)
        except _PORT_ERRORS as error:
            raise _broken(self.name, str(error)) from error

    def read(self, timeout_seconds: float) -> bytes:
        try:
            self._port.timeout = max(0.0, timeout_seconds)
            first: bytes = self._port.read(1)
            return first + bytes(self._port.read(self._port.in_waiting)) if first else first
        except _PORT_ERRORS as error:
            raise _broken(self.name, str(error)) from error

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
        name = f"socket://{host}:{port}"
        try:
            return cls(socket.create_connection((host, port), timeout_seconds), name)
        except OSError as error:
            reason = f"no one serves a board there: {error.strerror or error}"
            hint = "start what serves the serial line over TCP, or give another host and port"
            raise McukitError("board-unreachable", reason, where=name, hint=hint) from error

    def write(self, data: bytes) -> None:
        try:
            self._socket.sendall(data)
        except OSError as error:
            raise self._broken(error) from error

    def read(self, timeout_seconds: float) -> bytes:
        try:
            if not select.select([self._socket], [], [], max(0.0, timeout_seconds))[0]:
                return b""
            data = self._socket.recv(_READ_BYTES)
        except OSError as error:
            raise self._broken(error) from error
        if not data:
            raise self._broken(EOFError("the other end has closed it"))
        return data

    def now(self) -> float:
        return time.monotonic()

    def close(self) -> None:
        self._socket.close()

    def _broken(self, error: Exception) -> McukitError:
        return _broken(self.name, str(error))


class ProcessTransport(SocketTransport):
    """A program whose standard streams are the serial line. It ends with the transport, and with this process.

    name: for messages; by default the program's. remedy: what to do about a program that ends by itself. process: what
    watches over the program, and leads a process group of both.

    Raises McukitError "board-unreachable" if it can't be started.
    """

    def __init__(self, command: Sequence[str], name: str = "", remedy: str = "is this the right program?") -> None:
        ours, theirs = socket.socketpair()
        super().__init__(ours, name or Path(command[0]).name)
        self._remedy = remedy
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the transport
        try:
            program = shutil.which(command[0])
            if program is None:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), command[0])
            self.process = subprocess.Popen(
                [sys.executable, "-I", "-S", _guard.__file__, program, *command[1:]],
                stdin=subprocess.PIPE,
                stdout=theirs.fileno(),
                stderr=self._complaints,
                start_new_session=True,
            )
        except OSError as error:
            ours.close()
            self._complaints.close()
            raise _broken(self.name, str(error)) from error
        finally:
            theirs.close()

    def close(self) -> None:
        super().close()
        if self.process.stdin is not None:
            self.process.stdin.close()
        try:
            self.process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            # A program that was stopped, and its guard with it, doesn't end before it is told in this way.
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self._complaints.close()

    def _broken(self, error: Exception) -> McukitError:
        """How the program ended, if that is why there is nobody at the other end."""
        if self._complaints.closed:
            return super()._broken(error)
        try:
            code = self.process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            return super()._broken(error)
        self._complaints.seek(0)
        lines = self._complaints.read(_SHOWN_CHARACTERS).decode(errors="replace").split("\n")
        complaint = next((line.strip() for line in lines if line.strip()), "")
        ended = f"the program has ended with exit code {code}" + (f": {complaint}" if complaint else "")
        return _broken(self.name, ended, self._remedy)


def import_serial() -> Any:
    """The package for serial ports. Raises McukitError "missing-package"."""
    try:
        import serial
    except ImportError as error:
        raise McukitError(
            "missing-package", "talking to serial ports needs pyserial", hint="pip install 'mcukit[bench]'"
        ) from error
    return serial


def _why_closed(error: Exception) -> tuple[str, str]:
    """Why a serial port could not be opened, and what to do."""
    code = getattr(error, "errno", None)
    if code == errno.ENOENT:
        return "there is none of that name", "is the board connected, and powered? `mcukit flash --help` tells of ports"
    if code in {errno.EACCES, errno.EPERM}:
        return (
            "permission denied",
            "on Linux, join the group that owns the port and log in again: sudo usermod -aG dialout $USER",
        )
    if code in {errno.EBUSY, errno.EAGAIN} or "exclusively lock" in str(error):
        return "another program uses it", "close the serial monitor or whatever else has opened it"
    return str(error), "is this the board's serial port?"


def _broken(name: str, reason: str, hint: str = "is the board still connected?") -> McukitError:
    return McukitError("board-unreachable", f"the connection is broken: {reason}", where=name, hint=hint)
