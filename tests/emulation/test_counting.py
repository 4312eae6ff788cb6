# SPDX-License-Identifier: Apache-2.0
"""Instruction counts and stack depth of assembly whose figures are known beforehand: all must be equal."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
import pytest

from mcukit.emulation.counting import INSTRUCTION_CLASSES
from mcukit.emulation.runner import run_on_target
from tests.emulation.conftest import EMULATED, ModelWriter

ITERATIONS = 1000
FRAME_BYTES = 256

ARM_LOOP = f"""
    push  {{r4, lr}};
    sub   sp, #{FRAME_BYTES};
    movw  r1, #{ITERATIONS};
 1: ldr   r2, [sp];
    muls  r2, r1, r2;
    smlabb r3, r2, r1, r3;
    sdiv  r2, r2, r1;
    str   r2, [sp];
    subs  r1, #1;
    bne   1b;
    nop;
    add   sp, #{FRAME_BYTES};
    pop   {{r4, pc}}
"""
ARM_COUNTS = {
    "load": 1000,
    "store": 1001,
    "multiply": 2000,
    "divide": 1000,
    "alu": 1003,
    "branch": 1001,
    "other": 1,
}
ARM_STACK_BYTES = 8 + FRAME_BYTES

RISCV_LOOP = f"""
    addi  sp, sp, -16;
    sw    ra, 0(sp);
    addi  sp, sp, -{FRAME_BYTES};
    li    a1, {ITERATIONS};
 1: lw    a2, 0(sp);
    mul   a2, a2, a1;
    mulhu a3, a2, a1;
    div   a2, a2, a1;
    sw    a2, 0(sp);
    addi  a1, a1, -1;
    bnez  a1, 1b;
    fence;
    addi  sp, sp, {FRAME_BYTES};
    lw    ra, 0(sp);
    addi  sp, sp, 16;
    ret
"""
RISCV_COUNTS = {
    "load": 1001,
    "store": 1001,
    "multiply": 2000,
    "divide": 1000,
    "alu": 1005,
    "branch": 1001,
    "other": 1,
}
RISCV_STACK_BYTES = 16 + FRAME_BYTES

# Each list is executed once, as a layer of its own. r4, s0: scratch memory; r6, s1: zero; r7, s2: one.
ARM_INSTRUCTIONS = {
    "store": """
        str r0, [sp]; str.w r0, [sp, #4]; strb r0, [r4, #1]; strh r0, [r4, #2]; str r0, [r4, r6];
        strh r0, [r4, r6]; strb r0, [r4, r6]; strd r0, r1, [r4]; str r0, [r4], #0; stm r4, {r0, r1};
        strb.w r0, [r4, #9]; str.w r0, [r4, r6, lsl #2]; strex r0, r1, [r4]; push {r0};
        stmdb sp!, {r0, r9}""",
    "load": """
        ldmia sp!, {r0, r9}; pop {r0}; ldr r0, [sp]; ldr.w r0, [sp, #4]; ldrb r0, [r4, #1];
        ldrh r0, [r4, #2]; ldr r0, [r4, r6]; ldrsb r0, [r4, r6]; ldrsh r0, [r4, r6]; ldrd r0, r1, [r4];
        ldrsb r0, [r4, #1]; ldr r0, [r4], #0; ldm r4, {r0, r1}; ldr.w r0, [r4, r6, lsl #2];
        ldrex r0, [r4]; ldr r0, [pc, #0]; ldrsh.w r0, [r4, #6]; ldrh r0, [r4], #0""",
    "multiply": """
        muls r0, r1; mul r8, r0, r1; mla r0, r1, r2, r3; mls r0, r1, r2, r3; smull r0, r1, r2, r3;
        umull r0, r1, r2, r3; smlal r0, r1, r2, r3; umlal r0, r1, r2, r3; umaal r0, r1, r2, r3;
        smlabb r0, r1, r2, r3; smulbt r0, r1, r2; smlad r0, r1, r2, r3; smladx r0, r1, r2, r3;
        smuad r0, r1, r2; smlald r0, r1, r2, r3; smmul r0, r1, r2; smmlar r0, r1, r2, r3;
        smulwb r0, r1, r2""",
    "divide": "sdiv r0, r1, r7; udiv r0, r1, r7",
    "alu": """
        adds r0, r1, r2; adds r0, #1; add r0, sp, #4; add r0, pc, #4; subs r0, r1, r2; movs r0, #1;
        mov r8, r0; movw r0, #999; movt r0, #9; mvns r0, r1; cmp r0, r1; cmp r0, #3; tst r0, r1;
        ands r0, r1; add r8, r0; lsls r0, r1, #3; lsls r0, r1; asrs r0, r1, #3; lsl r8, r0, r1;
        ror r0, r1, #3; sxtb r0, r1; uxth r0, r1; uxtb.w r8, r1; sxtb16 r0, r1; sxtab16 r0, r1, r2;
        sxtah r0, r1, r2; pkhbt r0, r1, r2, lsl #16; ssat r0, #8, r1; usat r0, #8, r1, asr #2;
        ssat16 r0, #8, r1; bfi r0, r1, #4, #8; sbfx r0, r1, #4, #8; clz r0, r1; rbit r0, r1;
        rev r0, r1; rev.w r8, r1; qadd r0, r1, r2; sadd16 r0, r1, r2; uqsub8 r0, r1, r2;
        sel r0, r1, r2; adc r0, r1, r2; add r0, r1, r2, lsl #7; orr r0, r1, #0xff00ff; rsb r0, r1, #9;
        sub sp, #8; add sp, #8; subw r0, r1, #999; teq r0, r1""",
    "branch": """
        b 1f; 1: b.w 1f; 1: bl 1f; 1: cbz r6, 1f; .hword 0xbf00; 1: cbnz r7, 1f; .hword 0xbf00;
        1: beq 1f; 1: bne.w 1f; 1: adr r5, 1f; adds r5, #1; bx r5; .balign 4; 1: tbb [pc, r6];
        .byte 1, 0""",
    "other": "nop; nop.w; isb; dsb; dmb; mrs r0, apsr; msr apsr_nzcvq, r0; pld [r4]; yield",
}

HELIUM_INSTRUCTIONS = {
    "store": """
        vstrb.8 q0, [r4]; vstrb.8 q0, [r4], #0; vstrb.32 q0, [r4]; vstrw.32 q0, [r4, #16];
        vst40.32 {q0, q1, q2, q3}, [r4]""",
    "load": """
        vldrb.8 q0, [r4]; vldrb.8 q0, [r4], #0; vldrb.s32 q0, [r4]; vldrb.u16 q0, [r4]; vldrw.32 q0, [r4, #16];
        vld43.32 {q0, q1, q2, q3}, [r4]; vld20.8 {q0, q1}, [r4]""",
    "multiply": """
        vmladav.s8 r0, q0, q1; vmladava.s8 r0, q0, q1; vmladava.u8 r0, q0, q1; vmladava.s16 r0, q0, q1;
        vmullb.s8 q0, q1, q2; vmullt.s8 q0, q1, q2; vmullb.s16 q0, q1, q2; vmul.i32 q0, q1, q2; vmul.i32 q0, q1, r2;
        vqrdmulh.s32 q0, q1, q2; vqrdmulh.s32 q0, q1, r2; vqdmulh.s32 q0, q1, q2; vmla.s32 q0, q1, r2;
        vmlas.s32 q0, q1, r2""",
    "divide": "sdiv r0, r1, r7",
    "alu": """
        vadd.i32 q0, q1, q2; vadd.i32 q0, q1, r2; vqadd.s16 q0, q1, r2; vsub.i16 q0, q1, q2; vand q0, q1, q2;
        vshr.s32 q0, q1, #31; vshl.s32 q0, q1, q2; vrshl.s32 q0, q1, q2; vrshl.s32 q0, r0; vmovlb.s16 q0, q1;
        vmovlt.s8 q0, q1; vqmovnb.s32 q0, q1; vqmovnt.s16 q0, q1; vmax.s8 q0, q1, q2; vmin.s32 q0, q1, q2;
        vmaxv.s8 r0, q1; vaddv.s32 r0, q1; vmov q0, q1; vmov.i32 q0, #0; csel r0, r1, r2, eq""",
    "branch": "dls lr, r7; 1: b.w 2f; 2: le lr, 1b; dlstp.8 lr, r7; 1: b.w 2f; 2: letp lr, 1b",
    "other": "vmov q0[2], q0[0], r0, r1; vctp.8 r0; vmsr p0, r0; vmrs r0, p0; vdup.8 q0, r0",
}

RISCV_INSTRUCTIONS = {
    "store": "sw a0, 0(s0); sh a0, 4(s0); sb a0, 9(s0); sw a0, 0(sp)",
    "load": "lw a0, 0(s0); lh a0, 4(s0); lhu a0, 4(s0); lb a0, 9(s0); lbu a0, 9(s0); lw a0, 0(sp)",
    "multiply": "mul a0, a1, a2; mulh a0, a1, a2; mulhu a0, a1, a2; mulhsu a0, a1, a2",
    "divide": "div a0, a1, s2; divu a0, a1, s2; rem a0, a1, s2; remu a0, a1, s2",
    "alu": """
        add a0, a0, a1; add a0, a1, a2; sub a0, a0, a1; addi a0, a0, 1; addi a0, a1, 99; mv a0, a1;
        li a0, 5; lui a0, 3; lui t3, 0x12345; auipc a0, 0; slli a0, a0, 3; srli a0, a0, 3;
        srai a0, a0, 3; sll a0, a1, a2; sra a0, a1, a2; and a0, a0, a1; or a0, a0, a1; xor a0, a0, a1;
        andi a0, a0, 7; xori a0, a1, 7; slt a0, a1, a2; sltiu a0, a1, 9; addi a0, sp, 16;
        addi sp, sp, -32; addi sp, sp, 32; nop""",
    "branch": """
        j 1f; 1: jal 1f; 1: beqz s1, 1f; 1: bnez s2, 1f; 1: beq a0, a1, 1f; 1: bltu a0, a1, 1f;
        1: bge a0, a1, 1f; 1: la t0, 1f; jr t0; 1: la t0, 1f; jalr t0; 1:""",
    "other": "fence; fence rw, rw; .option arch, +zicsr; csrr a0, mhartid; csrw mscratch, a0",
}


def naked_function(text: str) -> str:
    statements = (" ".join(statement.split()) for statement in text.split(";"))
    lines = "".join(f'"{statement}\\n"\n' for statement in statements)
    return f"__attribute__((naked)) void tiny_invoke(void)\n{{\n__asm__ volatile({lines});\n}}\n"


@pytest.mark.parametrize(
    ("target", "loop", "counts", "stack_bytes"),
    [
        # A Cortex-M3 has no DSP instructions.
        ("cortex-m3", ARM_LOOP.replace("smlabb", "mla"), ARM_COUNTS, ARM_STACK_BYTES),
        ("cortex-m4", ARM_LOOP, ARM_COUNTS, ARM_STACK_BYTES),
        ("cortex-m7", ARM_LOOP, ARM_COUNTS, ARM_STACK_BYTES),
        ("cortex-m33", ARM_LOOP, ARM_COUNTS, ARM_STACK_BYTES),
        ("cortex-m55", ARM_LOOP, ARM_COUNTS, ARM_STACK_BYTES),
        ("riscv32", RISCV_LOOP, RISCV_COUNTS, RISCV_STACK_BYTES),
    ],
)
@pytest.mark.parametrize("build", ["plain", "profile", "trace"])
def test_a_loop_is_counted_exactly(
    target: str, loop: str, counts: dict[str, int], stack_bytes: int, build: str, write_model: ModelWriter
) -> None:
    model = write_model(naked_function(loop))
    run = run_on_target(model, target, np.zeros((3, 4), np.int8), profile=build == "profile", trace=build == "trace")
    assert run.instruction_classes == counts
    assert run.instructions_per_input == (sum(counts.values()),) * 3
    assert run.instructions == sum(counts.values())
    assert run.stack_bytes == (None if build == "trace" else stack_bytes)


ARM_PROLOGUE = "push {r4-r11, lr}; sub sp, #68; mov r4, sp; movs r6, #0; movs r7, #1"
ARM_EPILOGUE = "add sp, #68; pop {r4-r11, pc}"
ARM_CALL = "movs r0, #{layer}; bl {hook}"

RISCV_PROLOGUE = """
    .option norelax; addi sp, sp, -64; sw ra, 60(sp); sw s0, 56(sp); sw s1, 52(sp); sw s2, 48(sp);
    mv s0, sp; li s1, 0; li s2, 1"""
RISCV_EPILOGUE = "lw ra, 60(sp); lw s0, 56(sp); lw s1, 52(sp); lw s2, 48(sp); addi sp, sp, 64; ret"
RISCV_CALL = "li a0, {layer}; jal {hook}"


def count_instructions(text: str) -> int:
    statements = (re.sub(r"^\d+:", "", statement.strip()).strip() for statement in text.split(";"))
    return sum(bool(statement) and not statement.startswith(".") for statement in statements)


@dataclass(frozen=True)
class Assembly:
    """How to write a layer of each class. targets: statements and instructions that load branch targets."""

    prologue: str
    call: str
    epilogue: str
    instructions: dict[str, str]
    targets: tuple[int, int]


ARM = Assembly(ARM_PROLOGUE, ARM_CALL, ARM_EPILOGUE, ARM_INSTRUCTIONS, (2, 2))
HELIUM = replace(ARM, instructions=HELIUM_INSTRUCTIONS, targets=(0, 0))
RISCV = Assembly(RISCV_PROLOGUE, RISCV_CALL, RISCV_EPILOGUE, RISCV_INSTRUCTIONS, (2, 4))
RISCV_UNCOMPRESSED = replace(RISCV, prologue=".option norvc; " + RISCV_PROLOGUE)


@pytest.mark.parametrize(
    ("target", "assembly"),
    # Not the Cortex-M3: it has not all of these.
    [
        ("cortex-m4", ARM),
        ("cortex-m7", ARM),
        ("cortex-m33", ARM),
        ("cortex-m55", HELIUM),
        ("riscv32", RISCV),
        ("riscv32", RISCV_UNCOMPRESSED),
    ],
    ids=["cortex-m4", "cortex-m7", "cortex-m33", "cortex-m55", "riscv32", "riscv32-uncompressed"],
)
def test_instructions_are_of_their_class_and_layer(target: str, assembly: Assembly, write_model: ModelWriter) -> None:
    statements = [assembly.prologue]
    for layer, body in enumerate(assembly.instructions.values()):
        begin, end = (assembly.call.format(layer=layer, hook=f"mk_layer_{edge}") for edge in ("begin", "end"))
        statements += [begin, body, end]
    invoke = naked_function("; ".join([*statements, assembly.epilogue]))
    text = f"#ifdef MK_PROFILE\n{invoke}\n#else\nvoid tiny_invoke(void) {{}}\n#endif\n"
    model = write_model(text, layers=len(assembly.instructions))
    run = run_on_target(model, target, np.zeros((1, 4), np.int8), profile=True)
    assert run.layer_instructions is not None
    for (name, body), counted in zip(assembly.instructions.items(), run.layer_instructions, strict=True):
        # The call of the hook that ends a layer is part of it: two instructions.
        expected = Counter({"alu": 1, "branch": 1})
        expected[name] += count_instructions(body)
        if name == "branch":
            expected["branch"] -= assembly.targets[0]
            expected["alu"] += assembly.targets[1]
        assert counted == {each: expected[each] for each in INSTRUCTION_CLASSES}
    assert run.unattributed_instructions is not None
    around = count_instructions(assembly.prologue) + count_instructions(assembly.epilogue)
    calls_that_begin = 2 * len(assembly.instructions)
    assert sum(run.unattributed_instructions.values()) == around + calls_that_begin


@pytest.mark.parametrize("target", EMULATED)
def test_layers_entered_many_times_add_up(target: str, write_model: ModelWriter) -> None:
    layers = """
        for (volatile int i = 0; i < PASSES; i++) {
            MK_LAYER_BEGIN(0);
            for (volatile int k = 0; k < 10; k++) { }
            MK_LAYER_END(0, &map, 0, 0);
            MK_LAYER_BEGIN(1);
            for (volatile int k = 0; k < 20; k++) { }
            MK_LAYER_END(1, &map, 0, 0);
        }"""
    by_passes = []
    for passes in (1, 50):
        text = layers.replace("PASSES", str(passes))
        model = write_model(f"void tiny_invoke(void) {{ const mk_map map = {{0}}; (void)map; {text} }}", layers=2)
        run = run_on_target(model, target, np.zeros((2, 4), np.int8), profile=True)
        assert run.layer_instructions is not None
        assert run.unattributed_instructions is not None
        parts = [sum(each.values()) for each in (*run.layer_instructions, run.unattributed_instructions)]
        assert sum(parts) == run.instructions
        by_passes.append(parts)
    (first, second, _), many = by_passes
    assert first < second
    assert many[:2] == [50 * first, 50 * second]


@pytest.mark.parametrize("target", EMULATED)
def test_writing_a_trace_changes_no_count_of_a_layer(target: str, write_model: ModelWriter) -> None:
    layer = """
        MK_LAYER_BEGIN(0);
        for (volatile int i = 0; i < 50; i++) { }
        MK_LAYER_END(0, &map, 0, 4);"""
    whole = "const mk_map map = {arena, 8, 4, 0, 8, 4, 8, 1, 8}; (void)map;"
    model = write_model(f"void tiny_invoke(void) {{ {whole} {layer} }}")
    inputs = np.zeros((1, 4), np.int8)
    traced = run_on_target(model, target, inputs, trace=True)
    profiled = run_on_target(model, target, inputs, profile=True)
    assert traced.layer_instructions == profiled.layer_instructions
    assert traced.instructions == profiled.instructions
