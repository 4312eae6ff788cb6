# SPDX-License-Identifier: Apache-2.0
"""The board's answers to single frames: each status, and that a request is carried out once however often it comes."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

import pytest

from mcukit.bench.firmware import SerialOptions
from mcukit.bench.protocol import Frame, FrameReader, FrameType, Status, encode
from tests.bench.conftest import ProgramOf
from tests.bench.lockstep import LockstepBoard
from tests.bench.networks import INPUTS, expected_outputs

HELLO, BANNER, BEGIN, DATA = FrameType.HELLO, FrameType.BANNER, FrameType.BEGIN, FrameType.DATA
INFER, OUTPUT, TICKS, RESTART = FrameType.INFER, FrameType.OUTPUT, FrameType.TICKS, FrameType.RESTART

INPUT = INPUTS[0].tobytes()
LOAD = [(BEGIN, b"\0"), (DATA, bytes(4) + INPUT[:250]), (DATA, struct.pack("<I", 250) + INPUT[250:])]
CRC = struct.pack("<I", zlib.crc32(INPUT))
PLACE_0 = bytes(4)


class Session:
    """Frames to a board, by hand. The network keeps no input."""

    def __init__(self, board: LockstepBoard) -> None:
        self.board = board
        self.sequence = 0
        self._reader = FrameReader()

    def send(self, kind: int, payload: bytes, *, session: int = 1, sequence: int | None = None) -> list[Frame]:
        """All frames that come back. sequence: the next one by default."""
        if sequence is None:
            self.sequence = sequence = self.sequence + 1
        return self._reader.feed(self.board.turn(0, encode(Frame(kind, session, sequence, payload))))

    def status(self, kind: int, payload: bytes) -> Status:
        (reply,) = self.send(kind, payload)
        assert (reply.type, reply.session, reply.sequence) == (kind | FrameType.REPLY, 1, self.sequence)
        return Status(reply.payload[0])


@pytest.fixture
def session(program_of: ProgramOf) -> Iterator[Session]:
    board = LockstepBoard(program_of("stream", SerialOptions(keeps_input=False)))
    opened = Session(board)
    assert opened.status(HELLO, b"\1") == Status.OK
    yield opened
    board.close()


# What comes before, the request, and the status of its reply.
ANSWERS: dict[str, tuple[list[tuple[FrameType, bytes]], int, bytes, Status]] = {
    "hello without a version": ([], HELLO, b"", Status.MALFORMED),
    "banner": ([], BANNER, PLACE_0, Status.OK),
    "banner behind its end": ([], BANNER, b"\xff\xff\xff\xff", Status.OK),
    "banner from nowhere": ([], BANNER, b"", Status.MALFORMED),
    "no request": ([], 0x11, b"", Status.UNKNOWN),
    "data before begin": ([], DATA, PLACE_0 + b"x", Status.OK),
    "data of no bytes": ([], DATA, PLACE_0, Status.OK),
    "data without a place": ([], DATA, b"\0\0\0", Status.MALFORMED),
    "data with a gap": (LOAD[:1], DATA, b"\1\0\0\0x", Status.WRONG_PLACE),
    "data again": (LOAD[:2], *LOAD[1], Status.WRONG_PLACE),
    "data beyond the end": (LOAD[:2], DATA, struct.pack("<I", 250) + bytes(111), Status.WRONG_PLACE),
    "data behind the end": (LOAD, DATA, struct.pack("<I", 360) + b"x", Status.WRONG_PLACE),
    "data far behind the end": (LOAD, DATA, b"\xff\xff\xff\xffx", Status.WRONG_PLACE),
    "inference": (LOAD, INFER, CRC, Status.OK),
    "inference of nothing": ([], INFER, CRC, Status.NO_INPUT),
    "inference of a part": (LOAD[:2], INFER, CRC, Status.NO_INPUT),
    "inference of another input": (LOAD, INFER, PLACE_0, Status.INPUT_DIFFERS),
    "second inference": ([*LOAD, (INFER, CRC)], INFER, CRC, Status.NO_INPUT),
    "inference with too much": (LOAD, INFER, CRC + b"x", Status.MALFORMED),
    "output": ([*LOAD, (INFER, CRC)], OUTPUT, PLACE_0, Status.OK),
    "output of nothing": (LOAD, OUTPUT, PLACE_0, Status.NO_OUTPUT),
    "output of the input before": ([*LOAD, (INFER, CRC), LOAD[0]], OUTPUT, PLACE_0, Status.NO_OUTPUT),
    "output behind its end": ([*LOAD, (INFER, CRC)], OUTPUT, b"\xff\xff\xff\xff", Status.OK),
    "ticks": ([*LOAD, (INFER, CRC)], TICKS, b"\0\0", Status.OK),
    "ticks behind the last layer": ([*LOAD, (INFER, CRC)], TICKS, b"\xff\xff", Status.OK),
    "ticks of nothing": (LOAD, TICKS, b"\0\0", Status.NO_OUTPUT),
    "restart with a payload": ([], RESTART, b"x", Status.MALFORMED),
}


@pytest.mark.parametrize("case", ANSWERS)
def test_each_request_is_answered(session: Session, case: str) -> None:
    before, kind, payload, expected = ANSWERS[case]
    for earlier in before:
        assert session.status(*earlier) == Status.OK
    assert session.status(kind, payload) == expected


def test_a_request_is_carried_out_once(session: Session) -> None:
    for kind, payload in [*LOAD, (INFER, CRC), (OUTPUT, PLACE_0)]:
        (first,) = session.send(kind, payload)
        assert first.payload[0] == Status.OK
        for _ in range(2):
            assert session.send(kind, payload, sequence=session.sequence) == [first]
        # Neither does one that is older or comes too early.
        assert session.send(LOAD[0][0], LOAD[0][1], sequence=session.sequence - 1) == []
        assert session.send(LOAD[0][0], LOAD[0][1], sequence=session.sequence + 2) == []
    assert first.payload[1:] == expected_outputs()[0].tobytes()[:255]


def test_hello_again_in_the_same_session_drops_nothing(session: Session) -> None:
    for kind, payload in LOAD:
        session.send(kind, payload)
    assert session.send(HELLO, b"\1", sequence=1) == []
    assert session.status(INFER, CRC) == Status.OK


def test_hello_of_another_session_drops_all(session: Session) -> None:
    for kind, payload in LOAD:
        session.send(kind, payload)
    assert session.send(HELLO, b"\1", session=2, sequence=1)[0].payload[0] == Status.OK
    assert session.send(INFER, CRC, session=1, sequence=5)[0].payload == bytes((Status.NO_SESSION,))
    assert session.send(INFER, CRC, session=2, sequence=2)[0].payload == bytes((Status.NO_INPUT,))


@pytest.mark.parametrize("number", [0, 2])
def test_a_foreign_request_is_refused_and_disturbs_nothing(session: Session, number: int) -> None:
    (first,) = session.send(*LOAD[0])
    (refusal,) = session.send(BANNER, PLACE_0, session=number, sequence=9)
    assert refusal == Frame(BANNER | FrameType.REPLY, number, 9, bytes((Status.NO_SESSION,)))
    assert session.send(*LOAD[0], sequence=session.sequence) == [first]


def test_there_is_no_session_of_number_0(session: Session) -> None:
    (refusal,) = session.send(HELLO, b"\1", session=0, sequence=1)
    assert refusal.payload == bytes((Status.NO_SESSION,))


@pytest.mark.parametrize("kind", [FrameType.TRACE_TAKEN, FrameType.TRACE, HELLO | FrameType.REPLY, 0xFF])
def test_what_is_no_request_is_not_answered(session: Session, kind: int) -> None:
    assert session.send(kind, PLACE_0) == []


def test_another_version_is_refused_with_the_own_one(session: Session) -> None:
    (reply,) = session.send(HELLO, b"\x63", session=5, sequence=1)
    assert reply.payload[:2] == bytes((Status.VERSION, 1))


def test_sequences_go_around(session: Session) -> None:
    session.send(HELLO, b"\1", session=3, sequence=65535)
    assert session.send(BANNER, PLACE_0, session=3, sequence=0)[0].payload[0] == Status.OK
    assert session.send(BANNER, PLACE_0, session=3, sequence=65535) == []


def test_a_trace_that_nobody_takes_is_given_up(session: Session) -> None:
    for kind, payload in [(BEGIN, b"\1"), *LOAD[1:]]:
        session.send(kind, payload)
    (chunk,) = session.send(INFER, CRC)
    assert (chunk.type, chunk.payload[:4], len(chunk.payload)) == (FrameType.TRACE, PLACE_0, 256)
    reader, frames = FrameReader(), []
    for tenths in range(1, 110):
        frames += reader.feed(session.board.turn(tenths / 10, b""))
    *repeated, reply = frames
    assert len(repeated) >= 10
    assert repeated == [chunk] * len(repeated)
    assert Status(reply.payload[0]) == Status.TRACE_LOST
    assert session.status(OUTPUT, PLACE_0) == Status.OK


def test_a_new_session_ends_the_wait_for_a_trace(session: Session) -> None:
    for kind, payload in [(BEGIN, b"\1"), *LOAD[1:]]:
        session.send(kind, payload)
    session.send(INFER, CRC)
    (reply,) = session.send(HELLO, b"\1", session=2, sequence=1)
    assert (reply.session, Status(reply.payload[0])) == (1, Status.TRACE_LOST)
    assert session.send(HELLO, b"\1", session=2, sequence=1)[0].payload[0] == Status.OK
