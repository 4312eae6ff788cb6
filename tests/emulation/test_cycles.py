# SPDX-License-Identifier: Apache-2.0
"""Estimated cycles: of single instructions as Arm's manual says, and of loops whose cycles are known beforehand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mcukit.boards import FlashTiming, list_boards, load_board
from mcukit.emulation.cycles import CYCLE_CLASSES, CycleModel, cortex_m4, cortex_m7, cycle_model, known_cycle_model
from mcukit.emulation.cycles.thumb import Instruction, branch_targets, parse_listing
from mcukit.emulation.runner import run_on_target
from mcukit.errors import McukitError
from tests.emulation.conftest import ModelWriter

FLASH = FlashTiming(
    wait_states=5,
    clock_divider=1,
    line_bytes=16,
    instruction_cache_bytes=1024,
    instruction_cache_ways=64,
    data_cache_bytes=128,
    data_cache_ways=8,
)
NO_WAIT = replace(FLASH, wait_states=0)


def listed(text: str) -> list[Instruction]:
    """Instructions one after the other, two halfwords each. Text is as objdump prints it, separated by /."""
    lines = [each.strip().partition(" ") for each in text.split("/")]
    return parse_listing(f"{4 * i:8x}:\t0000 0000 \t{name}\t{operands}" for i, (name, _, operands) in enumerate(lines))


def total(core: str, text: str, target: int | None = None) -> int:
    instructions = listed(text)
    cycles = {"cortex-m4": cortex_m4.cycles, "cortex-m7": cortex_m7.cycles}[core]
    return sum(cycles(instructions, () if target is None else (target,)))


# The first four are Arm's own examples.
@pytest.mark.parametrize(
    ("text", "cycles"),
    [
        ("ldr r0, [r1, #0] / ldr r1, [r2, #0]", 3),
        ("ldr r0, [r1, r2] / str r0, [r3, #20]", 3),
        ("ldr r0, [r1, r2] / str r1, [r3, r2]", 3),
        ("ldr r0, [r1, r5] / ldr r1, [r2, #0] / ldr r2, [r3, #4]", 4),
        ("ldr r0, [r1, #0] / ldr r2, [r0, #0]", 4),
        ("ldrb.w r0, [r1], #1 / ldrsh.w r2, [r3, #2]", 3),
        ("add r1, r2 / ldr r0, [r1, #0]", 4),
        ("add r1, r2 / ldr r0, [r3, #0]", 3),
        ("str r0, [r1, #4] / str r0, [r1, #8]", 2),
        ("str r0, [r1, r2]", 2),
        ("ldrd r0, r1, [r2, #8] / ldrd r3, r4, [r2, #16]", 6),
        ("ldmia.w r0!, {r4, r5, r6}", 4),
        ("stmdb sp!, {r4-r8, lr}", 7),
        ("push {r4, lr}", 3),
        ("vpush {d8}", 2),
        ("smlad r0, r1, r2, r0 / smlad r0, r3, r4, r0 / sxtb16 r1, r1, ror #8", 3),
        ("smmulr r0, r1, r2 / pkhbt r0, r1, r2, lsl #16 / ssat r0, #8, r0", 3),
        ("umull r0, r1, r2, r3 / smlal r0, r1, r2, r3", 2),
        ("sdiv r0, r1, r2", 7),
        ("movw r0, #1234 / movt r0, #5678 / it eq / moveq r0, #0", 4),
        ("cmp r0, #0 / bne.n 0 <start>", 2),
        ("mrs r0, BASEPRI / dsb sy", 6),
    ],
)
def test_a_cortex_m4_takes_what_the_manual_says(text: str, cycles: int) -> None:
    assert total("cortex-m4", text) == cycles


def test_nothing_is_known_of_what_came_before_a_branch_target() -> None:
    text = "ldr r0, [r1, #0] / ldr r1, [r2, #0]"
    assert total("cortex-m4", text, target=4) == 4
    assert total("cortex-m4", "b.n 8 <end> / ldr r1, [r2, #0]") == 3
    assert total("cortex-m7", "add r0, r1 / mov r2, r3") == 1
    assert total("cortex-m7", "add r0, r1 / mov r2, r3", target=4) == 2


@pytest.mark.parametrize(
    ("text", "cycles"),
    [
        ("add r0, r1 / mov r2, r3", 1),
        ("add r0, r1 / mov r2, r0", 2),
        ("ldr r0, [r1, #0] / mov r2, r3", 1),
        ("ldr r0, [r1, #0] / ldr r2, [r3, #0]", 2),
        ("ldr r0, [r1, #0] / add r2, r0", 3),
        ("ldr r0, [r1, #0] / nop / nop / nop / add r2, r0", 3),
        ("smlad r0, r1, r2, r0 / ldr r3, [r4, #0]", 1),
        ("ldr r3, [r4, #0] / smlad r0, r1, r2, r0", 2),
        ("smlad r0, r1, r2, r0 / smlad r0, r3, r4, r0 / smlad r0, r5, r6, r0", 3),
        ("smlad r0, r1, r2, r0 / add r3, r0", 3),
        ("add.w r0, r1, r2, lsl #2 / add.w r3, r4, r5, lsl #2", 2),
        ("sxtb r0, r1 / add r2, r3", 1),
        ("ldmia.w r0!, {r4, r5, r6, r7}", 2),
        ("sdiv r0, r1, r2 / mov r3, r4", 8),
        ("subs r0, #1 / bne.n 0 <start>", 1),
    ],
)
def test_a_cortex_m7_starts_two_instructions_where_it_can(text: str, cycles: int) -> None:
    assert total("cortex-m7", text) == cycles


@pytest.mark.parametrize(
    ("text", "reads", "writes"),
    [
        ("add r0, r1", {"r0", "r1"}, {"r0"}),
        ("add.w r0, r1, r2", {"r1", "r2"}, {"r0"}),
        ("mov r0, r1", {"r1"}, {"r0"}),
        ("ldr.w r0, [r1], #4", {"r1"}, {"r0", "r1"}),
        ("str.w r0, [r1, #4]!", {"r0", "r1"}, {"r1"}),
        ("ldmia.w r0!, {r4-r6}", {"r0"}, {"r0", "r4", "r5", "r6"}),
        ("stmia.w r0, {r9-fp}", {"r0", "r9", "sl", "fp"}, set()),
        ("pop {r4, pc}", {"sp"}, {"sp", "r4", "pc"}),
        ("smlal r0, r1, r2, r3", {"r0", "r1", "r2", "r3"}, {"r0", "r1"}),
        ("smmulr r0, r1, r2", {"r1", "r2"}, {"r0"}),
        ("movt r0, #1", {"r0"}, {"r0"}),
        ("cmp r0, r1", {"r0", "r1"}, set()),
        ("bx lr", {"lr"}, set()),
    ],
)
def test_registers_are_told_apart(text: str, reads: set[str], writes: set[str]) -> None:
    (instruction,) = listed(text)
    assert (instruction.reads, instruction.writes) == (reads, writes)


def test_constants_between_instructions_are_left_out() -> None:
    lines = ["   10:\t4770      \tbx\tlr", "   12:\t0000      \t.short\t0x0000", "   14:\t12345678 \t.word\t0x12345678"]
    assert [each.mnemonic for each in parse_listing(lines)] == ["bx"]
    jump = parse_listing(["   10:\tf7ff fffe \tbl\t1234 <there>", "   14:\t2a01      \tcmp\tr2, #1"])
    assert branch_targets(jump) == {0x1234}


LOOP = """
extern const int8_t tiny_weights[64];
void tiny_invoke(void)
{{
    register const int8_t *from __asm__("r0") = {place};
    register uint32_t count __asm__("r1") = {count};
    __asm__ volatile(".balign 16; 1: {body} subs r1, #1; bne 1b"
                     : "+r"(from), "+r"(count) :: "r2", "r3", "r12", "memory", "cc");
}}
"""


def waited(write_model: ModelWriter, core: str, flash: FlashTiming, body: str, place: str) -> dict[str, int]:
    """Cycles of a thousand rounds of a loop, as the difference of two runs, so that nothing around it counts."""
    zeros = np.zeros((1, 4), np.int8)
    runs = []
    for count in (1000, 2000):
        model = write_model(LOOP.format(body=body, place=place, count=count))
        plain = run_on_target(model, core, zeros)
        timed = run_on_target(model, core, zeros, cycles=CycleModel(core, flash))
        assert plain.cycles is None
        assert timed.cycles is not None
        assert (timed.instruction_classes, timed.outputs.tobytes()) == (
            plain.instruction_classes,
            plain.outputs.tobytes(),
        )
        runs.append(timed.cycles)
    assert runs[0].keys() == set(CYCLE_CLASSES)
    return {name: runs[1][name] - runs[0][name] for name in CYCLE_CLASSES}


@pytest.mark.parametrize(
    ("core", "flash", "body", "place", "expected"),
    [
        # subs and a taken bne with the pipeline's two cycles.
        ("cortex-m4", FLASH, "", "arena", (2000, 2000, 0, 0)),
        ("cortex-m4", FLASH, "ldr r2, [r0]; ldr r3, [r0, #4];", "arena", (5000, 2000, 0, 0)),
        # A word across a boundary takes a cycle more.
        ("cortex-m4", FLASH, "ldr r2, [r0, #1];", "arena", (4000, 2000, 0, 1000)),
        # Nine words that are 16 bytes apart are too many for eight lines that make place in turns.
        ("cortex-m4", FLASH, "".join(f"ldr.w r2, [r0, #{16 * i}];" for i in range(9)), "(const int8_t *)0x100",
         (12000, 2000, 0, 9 * 5 * 1000)),
        ("cortex-m4", FLASH, "".join(f"ldr.w r2, [r0, #{16 * i}];" for i in range(8)), "(const int8_t *)0x100",
         (11000, 2000, 0, 0)),
        ("cortex-m4", NO_WAIT, "".join(f"ldr.w r2, [r0, #{16 * i}];" for i in range(9)), "(const int8_t *)0x100",
         (12000, 2000, 0, 0)),
        # 1,600 bytes of code run through a cache of 1,024 line by line: the first is waited for in full.
        ("cortex-m4", FLASH, "mov.w r2, r3;" * 400, "arena", (402_000, 2000, 5000 + 100 * 2 * 1000, 0)),
        ("cortex-m7", FLASH, "", "arena", (1000, 0, 0, 0)),
        ("cortex-m7", FLASH, "smlad r2, r3, r3, r2; ldr r12, [r0];", "arena", (2000, 0, 0, 0)),
    ],
)  # fmt: skip
def test_loops_take_known_cycles(
    core: str, flash: FlashTiming, body: str, place: str, expected: tuple[int, ...], write_model: ModelWriter
) -> None:
    found = waited(write_model, core, flash, body, place)
    assert found == dict(zip(CYCLE_CLASSES, expected, strict=True))


def test_a_branch_that_alternates_is_missed_each_time(write_model: ModelWriter) -> None:
    found = waited(write_model, "cortex-m7", FLASH, "tst r1, #1; bne 2f; nop; 2:", "arena")
    assert found["branches"] == cortex_m7.MISPREDICTED * 1000


def test_weights_count_as_flash(write_model: ModelWriter) -> None:
    found = waited(write_model, "cortex-m4", replace(FLASH, data_cache_bytes=0), "ldr r2, [r0];", "tiny_weights")
    assert found["loads"] == 5 * 1000


def test_layers_add_up_to_the_whole(write_model: ModelWriter) -> None:
    invoke = """
    void tiny_invoke(void)
    {
        const mk_map map = {0};
        MK_LAYER_BEGIN(0);
        for (volatile int i = 0; i < 10; i++) { }
        MK_LAYER_END(0, &map, 0, 1);
        MK_LAYER_BEGIN(1);
        for (volatile int i = 0; i < 100; i++) { }
        MK_LAYER_END(1, &map, 0, 1);
    }
    """
    model = write_model(invoke, layers=2)
    run = run_on_target(
        model, "cortex-m4", np.zeros((1, 4), np.int8), profile=True, cycles=CycleModel("cortex-m4", FLASH)
    )
    assert run.cycles is not None
    assert run.layer_cycles is not None
    short, long = (layer["issue"] for layer in run.layer_cycles)
    assert 9 < long / short < 11
    assert short + long <= run.cycles["issue"]


def test_boards_with_timings_are_estimated() -> None:
    timed = {board.id for board in list_boards() if known_cycle_model(board)}
    assert timed == {
        "black_f407ve", "disco_f407vg", "genericSTM32F405RG", "nucleo_f446re", "nucleo_f746zg", "nucleo_h743zi",
        "nucleo_l4r5zi",
    }  # fmt: skip
    model = cycle_model(load_board("nucleo_f446re"))
    assert (model.core, model.flash.wait_states) == ("cortex-m4", 5)


@pytest.mark.parametrize(
    ("board", "said", "hint"),
    [
        ("bluepill_f103c8", "no timings of cortex-m3", "--on cortex-m3"),
        ("esp32dev", "no timings of xtensa-lx6", "take a board with cortex-m4 or cortex-m7"),
        ("nano33ble", "how long the processor waits for its flash", "add [flash_timing]"),
    ],
)
def test_a_board_without_timings_is_refused(board: str, said: str, hint: str) -> None:
    with pytest.raises(McukitError) as caught:
        cycle_model(load_board(board))
    (problem,) = caught.value.problems
    assert (problem.code, problem.where, caught.value.exit_code) == ("no-timings", board, 2)
    assert said in problem.message
    assert hint in problem.hint
