# SPDX-License-Identifier: Apache-2.0
"""The client over real streams: a process, a pseudo-terminal, a TCP socket, emulated machines; and streams that end."""

from __future__ import annotations

import errno
import os
import pty
import signal
import socket
import subprocess
import sys
import threading
import tty
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import serial

from mcukit.bench.client import BoardClient
from mcukit.bench.firmware import SerialOptions, build_serial_program, emulator_command, model_hash
from mcukit.bench.link import Timing
from mcukit.bench.transport import ProcessTransport, SerialTransport, SocketTransport, Transport
from mcukit.emulation.targets import EMULATED_BOARDS, TARGETS
from mcukit.errors import McukitError, Problem
from tests.bench.conftest import SourcesOf
from tests.bench.networks import INPUTS, expected_maps, expected_outputs

EMULATED = {name: target for name, target in EMULATED_BOARDS.items() if target.emulated}

SHORT = Timing(connect=0.5, reply=0.5, infer=0.5, resend=0.1)


@pytest.fixture(scope="module")
def program(sources_of: SourcesOf, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hosted")
    return build_serial_program(sources_of("stream"), TARGETS["host"], folder, SerialOptions())


@pytest.fixture
def terminal(program: Path) -> Iterator[str]:
    """A pseudo-terminal with the application at its other end."""
    ours, theirs = pty.openpty()
    tty.setraw(theirs)
    process = subprocess.Popen([program], stdin=ours, stdout=ours)
    yield os.ttyname(theirs)
    process.terminate()
    process.wait(10)
    os.close(ours)
    os.close(theirs)


def check_all(transport: Transport, expected_hash: str) -> None:
    """Every request, with the right bytes; closes the transport."""
    with closing(transport):
        check_requests(BoardClient(transport, expected_hash=expected_hash))


def check_requests(client: BoardClient) -> None:
    for index in range(2):
        client.load(INPUTS[index])
        inference = client.infer()
        np.testing.assert_array_equal(inference.output, expected_outputs()[index])
        assert inference.ticks > 0
        assert sum(client.layer_ticks()) <= inference.ticks
    _, maps = client.layer_maps(INPUTS[2])
    for layer, name in enumerate("abc"):
        reference = expected_maps()[name][2].reshape(maps[layer].data.shape).view(np.uint8)
        np.testing.assert_array_equal(maps[layer].data, reference)


def test_a_process(program: Path, sources_of: SourcesOf) -> None:
    check_all(ProcessTransport([str(program)]), model_hash(sources_of("stream")))


@pytest.mark.parametrize("baud", [9600, 115_200])
def test_a_pseudo_terminal(terminal: str, baud: int, sources_of: SourcesOf) -> None:
    check_all(SerialTransport(terminal, baud), model_hash(sources_of("stream")))


def test_a_tcp_socket(program: Path, sources_of: SourcesOf) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        transport = SocketTransport.connect(*server.getsockname())
        accepted, _ = server.accept()
    with accepted, subprocess.Popen([program], stdin=accepted.fileno(), stdout=accepted.fileno()):
        check_all(transport, model_hash(sources_of("stream")))


@pytest.mark.parametrize("options", [SerialOptions(), SerialOptions(keeps_input=False)], ids=["kept", "on-arrival"])
@pytest.mark.parametrize("name", EMULATED)
def test_an_emulated_machine(name: str, options: SerialOptions, sources_of: SourcesOf, tmp_path: Path) -> None:
    program = build_serial_program(sources_of("pushed"), EMULATED[name], tmp_path, options)
    check_all(ProcessTransport(emulator_command(EMULATED[name], program)), model_hash(sources_of("pushed")))


@pytest.mark.parametrize("name", EMULATED)
def test_an_emulated_machine_restarts(name: str, sources_of: SourcesOf, tmp_path: Path) -> None:
    program = build_serial_program(sources_of("layers"), EMULATED[name], tmp_path, SerialOptions())
    with closing(ProcessTransport(emulator_command(EMULATED[name], program))) as transport:
        client = BoardClient(transport)
        client.load(INPUTS[0])
        client.restart()
        np.testing.assert_array_equal(client.infer().output, expected_outputs()[0])


@pytest.mark.parametrize("name", ["a]", "50%", 'a"b', "\n", "\u00e9"])
def test_a_name_that_would_break_answers_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="can't hold"):
        SerialOptions(board=name)


def test_a_firmware_without_hooks_says_so(sources_of: SourcesOf, tmp_path: Path) -> None:
    options = SerialOptions(hooks=False)
    transport = ProcessTransport([str(build_serial_program(sources_of("layers"), TARGETS["host"], tmp_path, options))])
    client = BoardClient(transport)
    client.load(INPUTS[0])
    np.testing.assert_array_equal(client.infer().output, expected_outputs()[0])
    for request in (client.layer_ticks, lambda: client.layer_maps(INPUTS[0])):
        with pytest.raises(McukitError) as caught:
            request()
        assert caught.value.problems[0].code == "no-hooks"
    transport.close()


@pytest.mark.parametrize(
    "values", [INPUTS[0][:-1], INPUTS[0].astype(np.int16), INPUTS[:2].ravel()], ids=["short", "int16", "long"]
)
def test_an_input_of_another_kind_is_refused(program: Path, values: np.ndarray) -> None:  # type: ignore[type-arg]
    transport = ProcessTransport([str(program)])
    with pytest.raises(McukitError, match="the board takes 360 bytes of int8"):
        BoardClient(transport).load(values)
    transport.close()


def code_of(transport: Transport) -> str:
    with pytest.raises(McukitError) as caught:
        BoardClient(transport, timing=SHORT).board()
    transport.close()
    return caught.value.problems[0].code


def test_no_board_answers() -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        assert code_of(SocketTransport(ours)) == "no-answer"


def test_an_echo_is_no_board() -> None:
    assert code_of(ProcessTransport(["cat"])) == "garbled-serial"


@pytest.mark.parametrize(
    ("greeting", "code"),
    [
        (b"m-name-dut-[other]\r\nm-ready\r\n", "wrong-firmware"),
        (b"hello world\r\n", "garbled-serial"),
        (bytes(range(128, 192)) * 5, "garbled-serial"),
    ],
    ids=["benchmark", "other", "binary"],
)
def test_what_is_no_mcukit_firmware_is_told_apart(greeting: bytes, code: str) -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        theirs.sendall(greeting)
        assert code_of(SocketTransport(ours)) == code


def test_a_program_that_ends_is_unreachable() -> None:
    assert code_of(ProcessTransport(["true"])) == "board-unreachable"


def test_a_program_that_is_none_is_unreachable() -> None:
    with pytest.raises(McukitError) as caught:
        ProcessTransport(["no-such-program"])
    assert caught.value.problems[0].code == "board-unreachable"


def test_a_board_that_goes_away_is_unreachable(program: Path) -> None:
    transport = ProcessTransport([str(program)])
    client = BoardClient(transport)
    client.load(INPUTS[0])
    transport.close()
    with pytest.raises(McukitError) as caught:
        client.infer()
    assert caught.value.problems[0].code == "board-unreachable"


def test_a_stopped_board_has_stalled(program: Path) -> None:
    transport = ProcessTransport([str(program)])
    client = BoardClient(transport, timing=SHORT)
    client.load(INPUTS[0])
    os.killpg(transport.process.pid, signal.SIGSTOP)
    with pytest.raises(McukitError) as caught:
        client.infer()
    assert caught.value.problems[0].code == "board-stalled"
    os.killpg(transport.process.pid, signal.SIGCONT)
    np.testing.assert_array_equal(client.infer().output, expected_outputs()[0])
    transport.close()


@pytest.mark.parametrize("port", ["/dev/null", "no-such-port"])
def test_what_is_no_serial_port_is_unreachable(port: str) -> None:
    with pytest.raises(McukitError) as caught:
        SerialTransport(port)
    assert caught.value.problems[0].code == "board-unreachable"


def open_error(port: str) -> Problem:
    with pytest.raises(McukitError) as caught:
        SerialTransport(port)
    (problem,) = caught.value.problems
    assert problem.code == "board-unreachable"
    return problem


def test_why_a_serial_port_does_not_open_is_told(terminal: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "there is none of that name" in open_error("/dev/no-such-port").message
    with closing(SerialTransport(terminal)):
        assert "another program uses it" in open_error(terminal).message

    def refuse(*_: object, **__: object) -> None:
        raise serial.SerialException(errno.EACCES, "could not open port: Permission denied")

    monkeypatch.setattr(serial, "Serial", refuse)
    problem = open_error(terminal)
    assert "permission denied" in problem.message
    assert "dialout" in problem.hint


def test_without_pyserial_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "serial", None)
    with pytest.raises(McukitError) as caught:
        SerialTransport("/dev/ttyACM0")
    (problem,) = caught.value.problems
    assert (problem.code, "mcukit[bench]" in problem.hint) == ("missing-package", True)


def test_a_program_that_ends_says_why() -> None:
    transport = ProcessTransport(["sh", "-c", "echo the reason >&2; exit 3"])
    with pytest.raises(McukitError, match="exit code 3: the reason"):
        BoardClient(transport, timing=SHORT).board()
    transport.close()


def test_reads_end_when_nothing_comes() -> None:
    ours, theirs = socket.socketpair()
    transport = SocketTransport(ours)
    woken = threading.Event()
    threading.Timer(0.05, lambda: (woken.set(), theirs.sendall(b"late"))).start()
    assert transport.read(0.0) == b""
    assert transport.read(5.0) == b"late"
    assert woken.is_set()
    transport.close()
    theirs.close()
