# SPDX-License-Identifier: Apache-2.0
"""Frames are found in whatever surrounds them, and no damaged one passes for another."""

from __future__ import annotations

import random
import re
from itertools import combinations

import pytest

from mcukit.bench import protocol
from mcukit.bench.protocol import MAX_PAYLOAD, Frame, FrameReader, encode
from mcukit.resources import firmware_dir

SPECIAL = bytes((0xC0, 0xC1, 0xDB, 0x25, 0xE0, 0xE1, 0xFB, 0x05))

FRAMES = {
    "empty": Frame(1, 1, 1),
    "special": Frame(0xC0, 0xDBC1C025, 0xDB25, SPECIAL),
    "all-bytes": Frame(0x84, 7, 65535, bytes(range(256))),
    "one-byte": Frame(5, 2**32 - 1, 0, b"\0"),
}


@pytest.mark.parametrize("name", FRAMES)
def test_a_frame_comes_back(name: str) -> None:
    encoded = encode(FRAMES[name])
    assert (encoded[0], encoded[-1]) == (0xC0, 0xC1)
    assert not set(encoded[1:-1]) & {0xC0, 0xC1, 0x25}
    reader = FrameReader()
    assert reader.feed(b"text\r\n" + encoded + encoded + b"more\n") == [FRAMES[name]] * 2
    assert reader.take_text() == ["text", "more"]
    assert reader.noise == 0
    assert [frame for byte in encoded for frame in FrameReader().feed(bytes((byte,)))] == []
    assert [frame for byte in encoded for frame in reader.feed(bytes((byte,)))] == [FRAMES[name]]


def test_the_bytes_are_those_of_the_specification() -> None:
    content_and_crc = "04 03 02 01 00 08 07 02 00 db 05 aa 92 5d bf f8"
    assert encode(Frame(4, 0x00010203, 0x0708, b"\x25\xaa")) == bytes.fromhex(f"c0 {content_and_crc} c1")


def test_a_payload_has_a_limit() -> None:
    encode(Frame(1, 1, 1, bytes(MAX_PAYLOAD)))
    with pytest.raises(ValueError, match="256 bytes at most"):
        encode(Frame(1, 1, 1, bytes(MAX_PAYLOAD + 1)))


@pytest.mark.parametrize("name", ["empty", "special", "one-byte"])
def test_no_two_wrong_bits_pass(name: str) -> None:
    encoded = encode(FRAMES[name])
    bits = range(8 * len(encoded))
    for flipped in (*((bit,) for bit in bits), *combinations(bits, 2)):
        damaged = bytearray(encoded)
        for bit in flipped:
            damaged[bit // 8] ^= 1 << bit % 8
        assert FrameReader().feed(damaged) == []


@pytest.mark.parametrize("name", FRAMES)
def test_no_lost_repeated_or_added_byte_passes(name: str) -> None:
    encoded = encode(FRAMES[name])
    for place in range(len(encoded)):
        changed = [encoded[:place] + encoded[place + 1 :]]
        changed += [encoded[:place] + bytes((byte,)) + encoded[place:] for byte in {*SPECIAL, encoded[place], 0}]
        for damaged in changed:
            # A second start or end beside the first, and text before or after, take nothing from the frame.
            assert set(FrameReader().feed(damaged)) <= {FRAMES[name]}
            if len(damaged) < len(encoded):
                assert FrameReader().feed(damaged) == []


@pytest.mark.parametrize("seed", range(20))
def test_the_next_frame_is_found_after_anything(seed: int) -> None:
    chance = random.Random(seed)
    reader = FrameReader()
    reader.feed(chance.randbytes(chance.randrange(2000)))
    reader.feed(bytes(chance.choices(SPECIAL, k=chance.randrange(100))))
    assert reader.feed(encode(FRAMES["all-bytes"])) == [FRAMES["all-bytes"]]


def numbers(text: str, prefix: str) -> dict[str, int]:
    return {name: int(value, 0) for name, value in re.findall(rf"\b{prefix}(\w+) = (\w+)", text)}


def test_both_ends_have_the_same_numbers() -> None:
    header = (firmware_dir() / "app" / "serial" / "session.h").read_text()
    requests, statuses = numbers(header, "REQUEST_"), numbers(header, "STATUS_")
    features, own = numbers(header, "FEATURE_"), numbers(header, "(?=TRACE|REPLY_BIT)")
    types = {kind.name: int(kind) for kind in protocol.FrameType}
    assert types == requests | {"TRACE_TAKEN": own["TRACE_TAKEN"], "TRACE": own["TRACE"], "REPLY": own["REPLY_BIT"]}
    assert statuses == {status.name: int(status) for status in protocol.Status}
    assert features == {feature.name: int(feature) for feature in protocol.Feature}
    assert f"SESSION_PROTOCOL_VERSION {protocol.VERSION}\n" in header


@pytest.mark.parametrize("kind", [*protocol.FrameType, *protocol.Status])
def test_the_specification_has_every_number(kind: protocol.FrameType | protocol.Status) -> None:
    text = (firmware_dir() / "app" / "PROTOCOL.md").read_text()
    if isinstance(kind, protocol.Status):
        assert re.search(rf"\| {int(kind)} \| {kind.name}\b", text)
    elif kind != protocol.FrameType.REPLY:
        assert re.search(rf"\| 0x{kind:02x} \| {kind.name}\b", text, re.IGNORECASE)
