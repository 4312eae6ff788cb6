# SPDX-License-Identifier: Apache-2.0
"""What `--port` may be: a serial port, a socket, or an emulated board; and which boards are attached."""

from __future__ import annotations

__all__ = [
    "BAUD",
    "SerialPort",
    "attached_port",
    "check_port",
    "emulated_name",
    "open_port",
    "require_port",
    "serial_ports",
]

import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from mcukit.bench.firmware import emulator_command
from mcukit.bench.images import emulated_image_path
from mcukit.bench.transport import ProcessTransport, SerialTransport, SocketTransport, Transport, import_serial
from mcukit.emulation.targets import EMULATED_BOARDS
from mcukit.errors import McukitError

BAUD = 115_200
"""Of the firmware's serial line, unless the board's file says otherwise."""

_EMULATED = "emulated:"
_SOCKET = "socket://"

_KINDS = "a serial port such as /dev/ttyACM0 or COM3, socket://HOST:PORT, or emulated:NAME"


@dataclass(frozen=True)
class SerialPort:
    """A serial port of this computer. device: its name. description: what is attached to it. is_usb: over USB."""

    device: str
    description: str
    is_usb: bool


def serial_ports() -> tuple[SerialPort, ...]:
    """All of this computer, in the order of their names. Raises McukitError "missing-package" without pyserial."""
    import_serial()
    from serial.tools import list_ports

    found = (SerialPort(port.device, port.description or "", port.vid is not None) for port in list_ports.comports())
    return tuple(sorted(found, key=lambda port: port.device))


def attached_port() -> str:
    """The port of the only board that is attached over USB.

    Raises McukitError "no-board" or "several-boards" with the ports that there are, "missing-package" without pyserial.
    """
    ports = serial_ports()
    boards = [port for port in ports if port.is_usb]
    if len(boards) == 1:
        return boards[0].device
    if boards:
        listed = ", ".join(f"{port.device} ({port.description})" for port in boards)
        raise McukitError(
            "several-boards",
            f"{len(boards)} boards are attached: {listed}",
            where="--port",
            hint=f"say which one: --port {boards[0].device}",
            exit_code=2,
        )
    others = f"; serial ports without USB: {', '.join(port.device for port in ports)}" if ports else ""
    raise McukitError(
        "no-board",
        f"no board is attached over USB{others}",
        where="--port",
        hint=f"attach one, or give {_KINDS}: {', '.join(EMULATED_BOARDS)}",
        exit_code=2,
    )


def emulated_name(port: str) -> str | None:
    """NAME of `emulated:NAME`; None for other ports."""
    return port.removeprefix(_EMULATED) if port.startswith(_EMULATED) else None


def check_port(port: str) -> None:
    """Raises McukitError "wrong-port" for what can't be one, before minutes are spent."""
    name = emulated_name(port)
    if name is not None and name not in EMULATED_BOARDS:
        hint = f"choose one of {', '.join(_EMULATED + known for known in EMULATED_BOARDS)}"
        raise McukitError("wrong-port", f"there is no emulated board '{name}'", where=port, hint=hint, exit_code=2)
    if port.startswith(_SOCKET):
        _socket_address(port)
    elif not port.strip() or "\0" in port or "://" in port:
        hint = f"give {_KINDS}"
        raise McukitError("wrong-port", "this is no port", where=port or "--port", hint=hint, exit_code=2)
    elif name is None and (Path(port).is_file() or Path(port).is_dir()):
        message = f"this is a {'file' if Path(port).is_file() else 'folder'}, and no serial port"
        raise McukitError("wrong-port", message, where=port, hint=f"give {_KINDS}", exit_code=2)


def require_port(port: str) -> None:
    """Raises McukitError "board-unreachable" for a serial port that is not there, before minutes are spent."""
    if os.name == "posix" and "://" not in port and emulated_name(port) is None and not Path(port).exists():
        raise McukitError(
            "board-unreachable",
            "there is no such serial port",
            where=port,
            hint="is the board connected, and powered? Without --port the only board that is attached is taken",
        )


def open_port(port: str, baud: int, project_folder: Path, remedy: str = "flash it") -> Transport:
    """The line to a board; an emulated one is powered on by it, and off when it is closed.

    project_folder: where images of emulated boards are kept, see emulated_image_path. remedy: what to do about an image
    that is not there or ends by itself.

    Raises McukitError "wrong-port", "board-unreachable", "not-flashed" for an emulated board without an image, and
    "missing-package" or "missing-tool" for what talks to the board or emulates it.
    """
    check_port(port)
    name = emulated_name(port)
    if name is not None:
        image = emulated_image_path(project_folder, name)
        if not image.is_file():
            raise McukitError("not-flashed", "nothing was flashed onto this emulated board", where=port, hint=remedy)
        remedy = f"if what was flashed is damaged, flash it again: {remedy}"
        return ProcessTransport(emulator_command(EMULATED_BOARDS[name], image), port, remedy)
    if port.startswith(_SOCKET):
        return SocketTransport.connect(*_socket_address(port))
    return SerialTransport(port, baud)


def _socket_address(port: str) -> tuple[str, int]:
    try:
        parts = urlsplit(port)
        number = parts.port
    except ValueError:
        parts, number = SplitResult("", "", "", "", ""), None
    if not parts.hostname or not number or parts.path or parts.query or parts.username:
        hint = "write socket://HOST:PORT, for example socket://127.0.0.1:5555"
        raise McukitError("wrong-port", "this is no socket", where=port, hint=hint, exit_code=2)
    return parts.hostname, number
