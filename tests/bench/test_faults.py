# SPDX-License-Identifier: Apache-2.0
"""Whatever happens on the line or to the board: the right bytes or one clear error, and never without end.

The board is the real application under sanitizers. Its time is the test's, so that nothing depends on the machine.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mcukit.bench.client import BoardClient
from mcukit.bench.firmware import SerialOptions, model_hash
from mcukit.errors import McukitError
from tests.bench.conftest import ProgramOf, SourcesOf
from tests.bench.lockstep import Damage, Line, LockstepBoard
from tests.bench.networks import INPUTS, PLANS, expected_maps, expected_outputs

KEPT, IN_PLACE = SerialOptions(), SerialOptions(keeps_input=False)
BUILDS = {
    "kept": ("layers", KEPT),
    "in-place": ("stream", IN_PLACE),
    "pushed": ("pushed", KEPT),
    "rows-on-arrival": ("pushed", IN_PLACE),
}

RIGHT = "right"
NO_CONNECTION = {"no-answer", "garbled-serial", "wrong-firmware"}

# More bytes than a run of work() takes on a line that does no damage.
RUN_BYTES = 10_000


def work(program: Path, damage: Damage, seed: int) -> tuple[str, Line]:
    """All that a client does, twice: RIGHT, or the code of the error. Wrong bytes fail the test."""
    line = Line(LockstepBoard(program), damage, seed)
    client = BoardClient(line, new_session=line.next_session)
    try:
        for index in (seed % 4, (seed + 1) % 4):
            client.load(INPUTS[index])
            np.testing.assert_array_equal(client.infer().output, expected_outputs()[index])
            assert len(client.layer_ticks()) == 3
            inference, maps = client.layer_maps(INPUTS[index])
            np.testing.assert_array_equal(inference.output, expected_outputs()[index])
            for layer, name in enumerate("abc"):
                held = maps[layer]
                reference = expected_maps()[name][index].reshape(held.data.shape).view(np.uint8)
                assert held.computed.all()
                np.testing.assert_array_equal(held.data, reference)
        result = RIGHT
    except McukitError as error:
        (problem,) = error.problems
        result = problem.code if problem.hint else "no hint"
    finally:
        line.close()
    return result, line


@pytest.mark.parametrize("options", [KEPT, IN_PLACE], ids=["kept", "in-place"])
@pytest.mark.parametrize("plan", PLANS)
def test_a_good_line_gives_the_right_bytes(program_of: ProgramOf, plan: str, options: SerialOptions) -> None:
    result, line = work(program_of(plan, options), Damage(), 0)
    assert result == RIGHT
    assert RUN_BYTES / 2 < line.carried < RUN_BYTES
    assert line.now() == 0.0


LIGHT = {
    "drop": Damage(drop=0.0005),
    "flip": Damage(flip=0.0005),
    "repeat": Damage(repeat=0.0005),
    "insert": Damage(insert=0.0005),
    "repeated-messages": Damage(repeat_message=0.3),
    "lost-messages": Damage(lose_message=0.1),
    "all": Damage(*[0.0002] * 4, 0.05, 0.02),
}


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("build", BUILDS)
@pytest.mark.parametrize("damage", LIGHT)
def test_light_damage_is_repaired(program_of: ProgramOf, damage: str, build: str, seed: int) -> None:
    result, line = work(program_of(*BUILDS[build]), LIGHT[damage], seed)
    assert result == RIGHT
    assert line.sessions == 1


HEAVY = {
    "drop": Damage(drop=0.01),
    "flip": Damage(flip=0.01),
    "insert": Damage(insert=0.01),
    "all": Damage(*[0.005] * 4, 0.3, 0.3),
    "hopeless": Damage(flip=0.2, drop=0.1, insert=0.1),
}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("build", BUILDS)
@pytest.mark.parametrize("damage", HEAVY)
def test_heavy_damage_gives_the_right_bytes_or_an_error(
    program_of: ProgramOf, damage: str, build: str, seed: int
) -> None:
    result, _ = work(program_of(*BUILDS[build]), HEAVY[damage], seed)
    if damage == "hopeless":
        assert result in NO_CONNECTION
    else:
        assert result in {RIGHT, "board-stalled", "bad-reply", *NO_CONNECTION}


@pytest.mark.parametrize("at", range(0, RUN_BYTES, 200))
@pytest.mark.parametrize("build", BUILDS)
def test_a_restart_goes_unnoticed(program_of: ProgramOf, build: str, at: int) -> None:
    result, line = work(program_of(*BUILDS[build]), Damage(resets=(at,)), at)
    assert result == RIGHT
    assert line.sessions <= 2


def test_a_board_that_keeps_restarting_is_reported(program_of: ProgramOf) -> None:
    result, line = work(program_of(*BUILDS["kept"]), Damage(resets=tuple(range(0, 200_000, 700))), 0)
    assert result == "board-reset"
    assert line.carried < 10_000


@pytest.mark.parametrize("at", [0, 50, *range(100, RUN_BYTES // 3, 400)])
@pytest.mark.parametrize("build", BUILDS)
def test_a_stalled_board_is_reported(program_of: ProgramOf, build: str, at: int) -> None:
    result, line = work(program_of(*BUILDS[build]), Damage(stall=at), 0)
    assert result in ({"no-answer"} if at == 0 else {"no-answer", "wrong-firmware", "board-stalled"})
    assert line.now() < 150


def test_a_wrong_baud_rate_is_reported(program_of: ProgramOf) -> None:
    assert work(program_of(*BUILDS["kept"]), Damage(garble=True), 0)[0] == "garbled-serial"


def test_the_firmware_of_another_build_is_refused(program_of: ProgramOf, sources_of: SourcesOf) -> None:
    line = Line(LockstepBoard(program_of(*BUILDS["kept"])))
    expected = model_hash(sources_of("stream"))
    assert expected != model_hash(sources_of("layers"))
    with pytest.raises(McukitError, match="another build") as caught:
        BoardClient(line, expected_hash=expected).board()
    assert caught.value.problems[0].code == "wrong-firmware"
    assert BoardClient(line, expected_hash=model_hash(sources_of("layers"))).board().layers == 3
    line.close()
