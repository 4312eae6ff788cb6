# SPDX-License-Identifier: Apache-2.0
"""Requests to a board, repeated over a stream that may damage bytes until they are answered, and carried out once."""

from __future__ import annotations

__all__ = ["BoardLink", "RepeatError", "Timing"]

import secrets
import struct
from collections.abc import Callable
from dataclasses import dataclass

from mcukit.bench.protocol import Frame, FrameReader, FrameType, Status, encode
from mcukit.bench.transport import Transport
from mcukit.errors import McukitError

_PLACE = struct.Struct("<I")


@dataclass(frozen=True)
class Timing:
    """How long to wait, in seconds, beside the time that bytes take on the wire.

    connect: for the first answer; boards that restart when their port is opened need some of it.
    reply: for the answer to a request. infer: for an inference. Where layers show their bytes, these are counted from
    the last bytes that came.
    resend: until a request is first repeated; the time doubles from one repetition to the next, up to slowest_resend.
    """

    connect: float = 6.0
    reply: float = 8.0
    infer: float = 120.0
    resend: float = 0.25
    slowest_resend: float = 2.0


class RepeatError(Exception):
    """The board has lost what the computer told it, or told something else: all of it has to be done again.

    error: what to report where that does not help.
    """

    def __init__(self, error: McukitError) -> None:
        super().__init__(str(error))
        self.error = error


class BoardLink:
    """One session after the other with the board at the end of a transport.

    remedy: what to do about a firmware that is not mcukit's, for messages.
    trace: what layers have sent since it was last cleared.
    """

    def __init__(
        self, transport: Transport, timing: Timing, new_session: Callable[[], int] | None = None, remedy: str = ""
    ) -> None:
        self._remedy = remedy
        self.trace = bytearray()
        self._transport = transport
        self._timing = timing
        self._new_session = new_session or (lambda: secrets.randbelow(2**32 - 1) + 1)
        self._reader = FrameReader()
        self._session = 0
        self._sequence = 0

    def open(self, hello: bytes) -> tuple[Status, bytes]:
        """Begins a session; gives the reply to HELLO.

        Raises McukitError "no-answer", "garbled-serial" or "wrong-firmware" by what comes instead.
        """
        self._session = self._new_session()
        self._sequence = 0
        self._reader = FrameReader()
        reply = self._exchange(FrameType.HELLO, hello, self._timing.connect, text_probe=b"%name%")
        if reply is None:
            raise self._no_session_error()
        return reply

    def request(self, kind: FrameType, payload: bytes = b"") -> tuple[Status, bytes]:
        """Status and payload of the reply.

        Raises McukitError "board-stalled" if there is none, RepeatError if the board knows nothing of the session.
        """
        limit = self._timing.infer if kind == FrameType.INFER else self._timing.reply
        reply = self._exchange(kind, payload, limit)
        if reply is None:
            raise McukitError(
                "board-stalled",
                f"the board has stopped answering: nothing for {limit:g} seconds",
                where=self._transport.name,
                hint="reset the board; if it stops again, its stack or its power supply may be too small",
            )
        if reply[0] == Status.NO_SESSION:
            raise RepeatError(
                McukitError(
                    "board-reset",
                    "the board keeps restarting",
                    where=self._transport.name,
                    hint="look at its power supply, its watchdog and the size of its stack",
                )
            )
        return reply

    def _exchange(
        self, kind: FrameType, payload: bytes, limit: float, text_probe: bytes = b""
    ) -> tuple[Status, bytes] | None:
        """The reply; None if there is none in `limit` seconds. text_probe: goes out with the third repetition."""
        self._sequence = (self._sequence + 1) & 0xFFFF
        request = encode(Frame(kind, self._session, self._sequence, payload))
        on_wire = 2 * len(request) * self._transport.seconds_per_byte
        interval = self._timing.resend
        attempts = 0
        resend_at = give_up_at = self._transport.now()
        give_up_at += limit + on_wire
        while True:
            now = self._transport.now()
            if now >= give_up_at:
                return None
            if now >= resend_at:
                self._transport.write(request if attempts != 2 else text_probe + request)
                attempts += 1
                resend_at = self._transport.now() + interval + on_wire
                interval = min(2 * interval, self._timing.slowest_resend)
            for frame in self._reader.feed(self._transport.read(min(resend_at, give_up_at) - now)):
                if frame.session != self._session or frame.sequence != self._sequence:
                    continue
                if frame.type == FrameType.TRACE and self._take_trace(frame):
                    give_up_at = self._transport.now() + limit + on_wire
                if frame.type == kind | FrameType.REPLY and frame.payload and frame.payload[0] in set(Status):
                    return Status(frame.payload[0]), frame.payload[1:]

    def _take_trace(self, frame: Frame) -> bool:
        """Whether the frame had anything new. What has come before is acknowledged again."""
        if len(frame.payload) <= _PLACE.size:
            return False
        place = int.from_bytes(frame.payload[: _PLACE.size], "little")
        is_new = place == len(self.trace)
        if is_new:
            self.trace += frame.payload[_PLACE.size :]
        if place + len(frame.payload) - _PLACE.size <= len(self.trace):
            taken = _PLACE.pack(len(self.trace))
            self._transport.write(encode(Frame(FrameType.TRACE_TAKEN, self._session, frame.sequence, taken)))
        return is_new

    def _no_session_error(self) -> McukitError:
        where = self._transport.name
        if any(line.startswith(("m-", "e-[")) for line in self._reader.text):
            return McukitError(
                "wrong-firmware",
                "the board answers text commands, but not mcukit's requests",
                where=where,
                hint=self._remedy,
            )
        if self._reader.noise or self._reader.text:
            return McukitError(
                "garbled-serial",
                "what the board sends is not readable",
                where=where,
                hint=f"is the baud rate that of the firmware, and is this the right port? If so: {self._remedy}",
            )
        return McukitError(
            "no-answer",
            f"no board answers within {self._timing.connect:g} seconds",
            where=where,
            hint=f"is it the right port, and its baud rate that of the firmware? If so: {self._remedy}",
        )
