# SPDX-License-Identifier: Apache-2.0
"""Frames of the serial protocol, as firmware/app/PROTOCOL.md describes them."""

from __future__ import annotations

__all__ = ["MAX_PAYLOAD", "VERSION", "Feature", "Frame", "FrameReader", "FrameType", "Status", "encode"]

import struct
import zlib
from dataclasses import dataclass
from enum import IntEnum, IntFlag

VERSION = 1
MAX_PAYLOAD = 256

_START, _END, _ESCAPE, _TEXT_TERMINATOR = 0xC0, 0xC1, 0xDB, 0x25
_ESCAPE_MASK = 0x20
_SPECIAL = frozenset((_START, _END, _ESCAPE, _TEXT_TERMINATOR))

_HEADER = struct.Struct("<BIHH")
_CRC = struct.Struct("<I")
_OVERHEAD = _HEADER.size + _CRC.size

_MAX_TEXT = 4096


class FrameType(IntEnum):
    """Requests, and what the board sends on its own. A reply is its request with REPLY added."""

    HELLO = 0x01
    BANNER = 0x02
    BEGIN = 0x03
    DATA = 0x04
    INFER = 0x05
    OUTPUT = 0x06
    TICKS = 0x07
    RESTART = 0x08
    TRACE_TAKEN = 0x10
    REPLY = 0x80
    TRACE = 0x90


class Status(IntEnum):
    """The first byte of each reply."""

    OK = 0
    NO_SESSION = 1
    UNKNOWN = 2
    MALFORMED = 3
    VERSION = 4
    WRONG_PLACE = 5
    NO_INPUT = 6
    INPUT_DIFFERS = 7
    NO_OUTPUT = 8
    NO_HOOKS = 9
    TRACE_LOST = 10


class Feature(IntFlag):
    """What a firmware can do."""

    INPUT_IS_PUSHED = 1
    KEEPS_INPUT = 2
    HOOKS = 4


@dataclass(frozen=True)
class Frame:
    """type: a FrameType, or one with REPLY; anything up to 255 may arrive."""

    type: int
    session: int
    sequence: int
    payload: bytes = b""


def encode(frame: Frame) -> bytes:
    """A frame as it goes over the wire. Raises ValueError for a payload that is too long."""
    if len(frame.payload) > MAX_PAYLOAD:
        raise ValueError(f"a frame carries {MAX_PAYLOAD} bytes at most, not {len(frame.payload)}")
    content = _HEADER.pack(frame.type, frame.session, frame.sequence, len(frame.payload)) + frame.payload
    content += _CRC.pack(zlib.crc32(content))
    escaped = bytearray((_START,))
    for byte in content:
        if byte in _SPECIAL:
            escaped += bytes((_ESCAPE, byte ^ _ESCAPE_MASK))
        else:
            escaped.append(byte)
    escaped.append(_END)
    return bytes(escaped)


class FrameReader:
    """Finds frames and lines of text in what arrives.

    noise: bytes so far that belonged to neither. text: lines since they were last taken, without their ends.
    """

    def __init__(self) -> None:
        self.noise = 0
        self.text: list[str] = []
        self._content: bytearray | None = None
        self._line = bytearray()

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that the bytes complete, in order."""
        frames = []
        for byte in data:
            if byte == _START:
                self._drop()
                self._content = bytearray()
            elif byte == _END:
                frame = None if self._content is None else _decode(self._content)
                if frame is None:
                    self._drop()
                else:
                    frames.append(frame)
                self._content = None
            elif self._content is None:
                self._add_text(byte)
            else:
                self._content.append(byte)
                if len(self._content) > 2 * (MAX_PAYLOAD + _OVERHEAD):
                    self._drop()
        return frames

    def take_text(self) -> list[str]:
        lines, self.text = self.text, []
        return lines

    def _drop(self) -> None:
        """What has arrived of a frame or a line is not going to become one."""
        self.noise += len(self._content or b"") + len(self._line)
        self._content = None
        self._line.clear()

    def _add_text(self, byte: int) -> None:
        if byte == 0x0A:
            self.text.append(self._line.decode("ascii").rstrip("\r"))
            self._line.clear()
        elif (0x20 <= byte < 0x7F or byte == 0x0D) and len(self._line) < _MAX_TEXT:
            self._line.append(byte)
        else:
            self.noise += 1
            self._drop()


def _decode(escaped: bytearray) -> Frame | None:
    """The frame between a start and an end; None if it was damaged."""
    content = bytearray()
    rest = iter(escaped)
    for byte in rest:
        if byte == _ESCAPE:
            original = next(rest, _ESCAPE) ^ _ESCAPE_MASK
            if original not in _SPECIAL:
                return None
            content.append(original)
        elif byte in _SPECIAL:
            return None
        else:
            content.append(byte)
    if len(content) < _OVERHEAD or len(content) > _OVERHEAD + MAX_PAYLOAD:
        return None
    kind, session, sequence, length = _HEADER.unpack_from(content)
    covered = len(content) - _CRC.size
    if length != len(content) - _OVERHEAD or _CRC.unpack_from(content, covered)[0] != zlib.crc32(content[:covered]):
        return None
    return Frame(kind, session, sequence, bytes(content[_HEADER.size : covered]))
