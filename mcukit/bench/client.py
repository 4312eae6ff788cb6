# SPDX-License-Identifier: Apache-2.0
"""A network on a board, as functions: give it an input, run it, look at what it computed and how long that took."""

from __future__ import annotations

__all__ = ["Banner", "Board", "BoardClient", "Inference", "Profile"]

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from mcukit.bench.link import BoardLink, RepeatError, Timing
from mcukit.bench.protocol import MAX_PAYLOAD, VERSION, Feature, FrameType, Status
from mcukit.bench.transport import Transport
from mcukit.emulation.trace import TracedMap, assemble_maps, parse_trace
from mcukit.errors import McukitError

_Result = TypeVar("_Result")

_HELLO = struct.Struct("<BBHHHIIII")
_INFERRED = struct.Struct("<IIQII")
_U16 = struct.Struct("<H")
_U32 = struct.Struct("<I")

_WITH_TRACE = 1
_ATTEMPTS = 4

UNKNOWN = "unknown"
"""What a firmware does not say of itself."""


@dataclass(frozen=True)
class Banner:
    """What a firmware says of itself. model_hash: see mcukit.bench.firmware.model_hash.

    kernels: the set. layer_kernels: how many layers each function computes.
    """

    protocol: str
    board: str
    model: str
    model_hash: str
    kernels: str
    compiler: str
    compiler_flags: str
    arena_bytes: str
    layer_kernels: str = UNKNOWN


@dataclass(frozen=True)
class Board:
    """What a firmware can do. Sizes in bytes."""

    features: Feature
    layers: int
    input_bytes: int
    output_bytes: int
    arena_bytes: int
    ticks_per_second: int
    banner: Banner


@dataclass(frozen=True, eq=False)
class Inference:
    """output: (output_bytes,). ticks: what it took. trace: what layers computed, where that was asked for."""

    output: NDArray[np.int8]
    ticks: int
    trace: bytes | None


@dataclass(frozen=True, eq=False)
class Profile:
    """An inference, and the ticks that each layer took of it."""

    inference: Inference
    layer_ticks: tuple[int, ...]


class BoardClient:
    """The computer's end of the line to a board.

    expected_hash: what the banner's model_hash must be; None accepts any firmware. remedy: what to do about another
    firmware, for messages.

    Every method may raise McukitError: "no-answer", "garbled-serial" or "wrong-firmware" while there is no session,
    "board-stalled" if answers end, "board-reset" if the board restarts again and again, "board-unreachable" if the
    connection breaks, "bad-reply" if the board contradicts itself. A single restart is not seen from outside: the
    client begins again with the same input.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        expected_hash: str | None = None,
        timing: Timing | None = None,
        new_session: Callable[[], int] | None = None,
        remedy: str = "flash the firmware of this build",
    ) -> None:
        self._name = transport.name
        self._remedy = remedy
        self._link = BoardLink(transport, timing or Timing(), new_session, remedy)
        self._expected_hash = expected_hash
        self._board: Board | None = None
        self._input: bytes | None = None
        self._traced = False
        self._is_loaded = False
        self._has_output = False
        self._room = MAX_PAYLOAD

    @property
    def port(self) -> str:
        """The name of the line."""
        return self._name

    def board(self) -> Board:
        """Sizes, abilities and banner; begins a session if there is none."""
        return self._recovering(self._known_board)

    def banner(self) -> Banner:
        return self.board().banner

    def load(self, values: NDArray[np.int8], *, trace: bool = False) -> None:
        """Brings an input (input_bytes,) to the board. trace: bring back what layers compute from it.

        Raises McukitError "wrong-input", or "no-hooks" if the firmware was compiled without them.
        """
        board = self.board()
        data = values.tobytes()
        if values.dtype != np.int8 or len(data) != board.input_bytes:
            raise McukitError(
                "wrong-input",
                f"the board takes {board.input_bytes} bytes of int8, not {values.dtype} of {values.shape}",
                where=self._name,
            )
        if trace and Feature.HOOKS not in board.features:
            raise self._no_hooks()
        self._input, self._traced = data, trace
        self._forget()
        self._recovering(self._load)

    def infer(self) -> Inference:
        """Runs the network on the input that was loaded last, as often as one likes."""
        if self._input is None:
            raise ValueError("an input must be loaded first")
        return self._recovering(self._infer)

    def layer_ticks(self) -> tuple[int, ...]:
        """What each layer took in the last inference; runs one if there is none. Raises McukitError "no-hooks"."""
        if self._input is None:
            raise ValueError("an input must be loaded first")
        if Feature.HOOKS not in self.board().features:
            raise self._no_hooks()
        return self._recovering(self._layer_ticks)

    def profile(self) -> Profile:
        """Runs the network on the input that was loaded last. Raises McukitError "no-hooks"."""
        if self._input is None:
            raise ValueError("an input must be loaded first")
        if Feature.HOOKS not in self.board().features:
            raise self._no_hooks()
        # One operation: after a restart in between, the ticks would be those of another inference.
        return self._recovering(self._profile)

    def layer_maps(self, values: NDArray[np.int8]) -> tuple[Inference, dict[int, TracedMap]]:
        """Runs the network on an input; also gives the map that each layer computed. Errors as load."""
        self.load(values, trace=True)
        inference = self.infer()
        maps = assemble_maps(parse_trace(inference.trace or b""))
        return inference, {layer: held for (_, layer), held in maps.items()}

    def restart(self) -> None:
        """Restarts the board. The next call begins a new session."""
        self.board()
        self._recovering(lambda: self._ask(FrameType.RESTART))
        self._board = None
        self._forget()

    def _forget(self) -> None:
        """The board has neither the input nor what comes of it."""
        self._is_loaded = self._has_output = False

    def _recovering(self, operation: Callable[[], _Result]) -> _Result:
        """The operation's result, if need be after beginning again."""
        for attempt in range(_ATTEMPTS):
            try:
                if self._board is None:
                    self._connect()
                return operation()
            except RepeatError as lost:
                self._board = None
                self._forget()
                if attempt == _ATTEMPTS - 1:
                    raise lost.error from lost
        raise AssertionError("unreachable")

    def _known_board(self) -> Board:
        if self._board is None:
            raise AssertionError("no session")
        return self._board

    def _connect(self) -> None:
        status, payload = self._link.open(bytes((VERSION,)))
        if status == Status.VERSION:
            raise McukitError(
                "wrong-firmware",
                f"the firmware speaks version {payload[0] if payload else '?'} of the protocol, not {VERSION}",
                where=self._name,
                hint=self._remedy,
            )
        if status != Status.OK or len(payload) != _HELLO.size:
            raise self._bad_reply("greeting")
        _, features, payload_bytes, layers, banner_bytes, inputs, outputs, arena, rate = _HELLO.unpack(payload)
        if rate == 0 or payload_bytes <= _U32.size:
            raise self._bad_reply("greeting")
        self._room = min(payload_bytes, MAX_PAYLOAD) - _U32.size
        banner = _parse_banner(self._read(FrameType.BANNER, banner_bytes))
        self._check_hash(banner)
        self._board = Board(Feature(features), layers, inputs, outputs, arena, rate, banner)

    def _check_hash(self, banner: Banner) -> None:
        if self._expected_hash is not None and banner.model_hash != self._expected_hash:
            raise McukitError(
                "wrong-firmware",
                f"the board runs another build: network '{banner.model}' with hash {banner.model_hash[:16]}, "
                f"{banner.kernels} kernels, compiled by {banner.compiler}; "
                f"this build has hash {self._expected_hash[:16]}",
                where=self._name,
                hint=self._remedy,
            )

    def _load(self) -> None:
        data = self._input or b""
        self._link.trace.clear()
        self._expect(Status.OK, FrameType.BEGIN, bytes((_WITH_TRACE if self._traced else 0,)))
        for place in range(0, len(data), self._room):
            part = data[place : place + self._room]
            held = self._expect(Status.OK, FrameType.DATA, _U32.pack(place) + part)
            if held != _U32.pack(place + len(part)):
                raise self._bad_reply("count of input bytes")
        self._is_loaded = True

    def _infer(self) -> Inference:
        board = self._known_board()
        if not self._is_loaded:
            self._load()
        if Feature.KEEPS_INPUT in board.features:
            self._link.trace.clear()
        else:
            self._is_loaded = False
        crc = zlib.crc32(self._input or b"")
        payload = self._expect(Status.OK, FrameType.INFER, _U32.pack(crc))
        if len(payload) != _INFERRED.size:
            raise self._bad_reply("report of an inference")
        input_crc, output_crc, ticks, trace_bytes, trace_crc = _INFERRED.unpack(payload)
        trace = bytes(self._link.trace)
        output = self._read(FrameType.OUTPUT, board.output_bytes)
        if (input_crc, output_crc) != (crc, zlib.crc32(output)):
            raise RepeatError(self._bad_reply("checksum of input or output"))
        if self._traced and (trace_bytes, trace_crc) != (len(trace), zlib.crc32(trace)):
            raise RepeatError(self._bad_reply("checksum of what layers computed"))
        self._has_output = True
        return Inference(np.frombuffer(output, np.int8), ticks, trace if self._traced else None)

    def _profile(self) -> Profile:
        inference = self._infer()
        return Profile(inference, self._layer_ticks())

    def _layer_ticks(self) -> tuple[int, ...]:
        if not self._has_output:
            self._infer()
        layers = self._known_board().layers
        counts: list[int] = []
        while len(counts) < layers:
            payload = self._expect(Status.OK, FrameType.TICKS, _U16.pack(len(counts)))
            if not payload or len(payload) % _U32.size or len(counts) + len(payload) // _U32.size > layers:
                raise self._bad_reply("list of layer ticks")
            counts += (count for (count,) in _U32.iter_unpack(payload))
        return tuple(counts)

    def _read(self, kind: FrameType, total: int) -> bytes:
        """Bytes that the board gives in parts."""
        data = b""
        while len(data) < total:
            part = self._expect(Status.OK, kind, _U32.pack(len(data)))
            if not part or len(data) + len(part) > total:
                raise self._bad_reply("number of bytes")
            data += part
        return data

    def _ask(self, kind: FrameType) -> None:
        self._expect(Status.OK, kind, b"")

    def _expect(self, expected: Status, kind: FrameType, payload: bytes) -> bytes:
        """The payload of a reply with that status. Others mean that the board has lost something, or a mistake."""
        status, reply = self._link.request(kind, payload)
        if status == expected:
            return reply
        error = self._bad_reply(f"status {status.name} to {kind.name}")
        if status in {Status.NO_INPUT, Status.INPUT_DIFFERS, Status.NO_OUTPUT, Status.WRONG_PLACE, Status.TRACE_LOST}:
            raise RepeatError(error)
        raise error

    def _bad_reply(self, what: str) -> McukitError:
        return McukitError(
            "bad-reply",
            f"the board's answer makes no sense: {what}",
            where=self._name,
            hint=f"{self._remedy}; if it stays so, board and connection may be faulty",
        )

    def _no_hooks(self) -> McukitError:
        return McukitError(
            "no-hooks",
            "the firmware can't look into layers: it was compiled without MK_PROFILE",
            where=self._name,
            hint="flash the firmware that measures layers",
        )


def _parse_banner(text: bytes) -> Banner:
    """What is missing is called unknown."""
    lines = text.decode("utf-8", errors="replace").splitlines()
    fields = dict(line.split("=", 1) for line in lines if "=" in line)
    return Banner(**{name: fields.get(name, UNKNOWN) for name in Banner.__dataclass_fields__})
