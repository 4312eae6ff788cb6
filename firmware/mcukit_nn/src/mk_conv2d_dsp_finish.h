/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How multiplying loops of convolutions end: six sums become outputs of two filters over three pixels. Macros of
 * assembly for mk_conv2d_dsp_*.c. Not part of the public interface.
 *
 * r0 to r2 are the sums of the first filter, r3 to r5 those of the second. At sp is what FRAME_* say; r7 as it was at
 * the beginning is kept there, because it may be the frame pointer and compilers refuse to save it.
 */
#ifndef MK_CONV2D_DSP_FINISH_H
#define MK_CONV2D_DSP_FINISH_H

#include "mk_conv2d_dsp.h"

#if MK_DSP && MK_DSP_INSTRUCTIONS

/* From sp: 0 bias, 4 multiplier, 8 shift, 12 inputs, 16 their end, 20 offset, 24 r7, 28 out, 32 step1, 36 step2, 40 end
 * of out, 44 where the loop is entered, 48 how outputs are stored. */
#define FRAME_BYTES "52"

MK_STATIC_ASSERT(offsetof(mk_conv2d_dsp_block, inputs) == 12 && offsetof(mk_conv2d_dsp_block, offset) == 20 &&
                     offsetof(mk_conv2d_dsp_block, out) == 24 && offsetof(mk_conv2d_dsp_block, step1) == 28 &&
                     offsetof(mk_conv2d_dsp_block, out_bytes) == 36 && offsetof(mk_conv2d_dsp_block, weights) == 40 &&
                     offsetof(mk_conv2d_dsp_block, entry) == 44 && offsetof(mk_conv2d_dsp_block, bits) == 48,
                 frames_begin_as_blocks_do);

/* From the block at r0, where the loop begins at label 2. r12 points to weights then. */
#define MAKE_FRAME \
    "ldm    r0!, {r1, r2, r3, r4, r5, r6, r8, r9, r10}\n" \
    "ldm    r0!, {r11, r12, lr}\n" \
    "ldr    r0, [r0]\n" \
    "cmp    r0, #4\n" \
    "adr.w  r0, 8f\n" \
    "it     eq\n" \
    "adreq.w r0, 9f\n" \
    "it     lt\n" \
    "adrlt.w r0, 10f\n" \
    "add    r0, r0, #1\n" \
    "push   {r0}\n" \
    "add    r11, r11, r8\n" \
    "adr.w  r0, 2f\n" \
    "add    lr, lr, r0\n" \
    "push   {r1, r2, r3, r4, r5, r6, r7, r8, r9, r10, r11, lr}\n"

#define DROP_FRAME \
    "ldr    r7, [sp, #24]\n" \
    "add    sp, sp, #" FRAME_BYTES "\n"

/* mk_requantize_twice for a shift of -(e + 1). r6: offset. */
#define REQUANTIZE(sum, doubled, e) \
    "smmlar " sum ", " sum ", " doubled ", " sum "\n" \
    "add    " sum ", " sum ", " sum ", asr #31\n" \
    "asr.w  " sum ", " sum ", " e "\n" \
    "add    " sum ", " sum ", r6\n"

/* The same for a shift that is not negative. r7 is free. */
#define REQUANTIZE_LEFT(sum, doubled, shift) \
    "lsl.w  " sum ", " sum ", " shift "\n" \
    "and    r7, " sum ", " doubled ", asr #31\n" \
    "smmlar " sum ", " sum ", " doubled ", r7\n" \
    "ssat   " sum ", #16, " sum "\n" \
    "add    " sum ", r6, " sum ", lsl #1\n"

/* mk_halve_to_byte or mk_halve_to_field of all sums. */
#define HALVE_ONE(saturate, bits, sum) saturate "   " sum ", #" bits ", " sum ", asr #1\n"
#define HALVE(saturate, bits) \
    HALVE_ONE(saturate, bits, "r0") HALVE_ONE(saturate, bits, "r1") HALVE_ONE(saturate, bits, "r2") \
    HALVE_ONE(saturate, bits, "r3") HALVE_ONE(saturate, bits, "r4") HALVE_ONE(saturate, bits, "r5")

/* Puts the fields of the second filter above those of the first. */
#define JOIN(bits) \
    "orr    r0, r0, r3, lsl #" bits "\n" \
    "orr    r1, r1, r4, lsl #" bits "\n" \
    "orr    r2, r2, r5, lsl #" bits "\n"

#define LOAD_PLACES \
    "ldrd   r6, r7, [sp, #28]\n" \
    "ldr    r8, [sp, #36]\n"

/* Of 2 bits, two pairs of filters fill a byte: the way that outputs are stored changes with every pair. */
#define STORE_NEXT_BY(label) \
    "adr.w  r9, " label "\n" \
    "add    r9, r9, #1\n" \
    "str    r9, [sp, #48]\n" \
    "b      11f\n" \
    ".p2align 2\n"

/* Stores the outputs of a pair. Takes labels 3 to 6 and 8 to 12; r12 and lr stay. Then r6 is where the next ones go. */
#define FINISH_PAIR \
    "ldrd   r6, r7, [sp, #4]\n" \
    "ldrd   r9, r10, [r6], #8\n" /* multipliers */ \
    "ldrsb  r8, [r7], #1\n" /* shifts */ \
    "ldrsb  r11, [r7], #1\n" \
    "strd   r6, r7, [sp, #4]\n" \
    "ldr    r6, [sp, #20]\n" \
    "lsl    r9, r9, #1\n" \
    "lsl    r10, r10, #1\n" \
    "mvns   r8, r8\n" \
    "bmi    5f\n" \
    REQUANTIZE("r0", "r9", "r8") REQUANTIZE("r1", "r9", "r8") REQUANTIZE("r2", "r9", "r8") \
    "3:\n" \
    "mvns   r11, r11\n" \
    "bmi    6f\n" \
    REQUANTIZE("r3", "r10", "r11") REQUANTIZE("r4", "r10", "r11") REQUANTIZE("r5", "r10", "r11") \
    "4:\n" \
    "ldr    pc, [sp, #48]\n" \
    "5:\n" \
    "mvn    r8, r8\n" \
    REQUANTIZE_LEFT("r0", "r9", "r8") REQUANTIZE_LEFT("r1", "r9", "r8") REQUANTIZE_LEFT("r2", "r9", "r8") \
    "b      3b\n" \
    "6:\n" \
    "mvn    r11, r11\n" \
    REQUANTIZE_LEFT("r3", "r10", "r11") REQUANTIZE_LEFT("r4", "r10", "r11") REQUANTIZE_LEFT("r5", "r10", "r11") \
    "b      4b\n" \
    ".p2align 2\n" \
    "9:\n" /* 4 bits: a byte for each pixel */ \
    HALVE("usat", "4") JOIN("4") \
    LOAD_PLACES \
    "strb   r1, [r6, r7]\n" \
    "strb   r2, [r6, r8]\n" \
    "strb   r0, [r6], #1\n" \
    "b      11f\n" \
    ".p2align 2\n" \
    "10:\n" /* 2 bits: half a byte, which the next pair fills */ \
    HALVE("usat", "2") JOIN("2") \
    LOAD_PLACES \
    "strb   r1, [r6, r7]\n" \
    "strb   r2, [r6, r8]\n" \
    "strb   r0, [r6]\n" \
    STORE_NEXT_BY("12f") \
    "12:\n" \
    HALVE("usat", "2") JOIN("2") \
    LOAD_PLACES \
    "ldrb   r9, [r6, r7]\n" \
    "ldrb   r10, [r6, r8]\n" \
    "ldrb   r11, [r6]\n" \
    "orr    r1, r9, r1, lsl #4\n" \
    "orr    r2, r10, r2, lsl #4\n" \
    "orr    r0, r11, r0, lsl #4\n" \
    "strb   r1, [r6, r7]\n" \
    "strb   r2, [r6, r8]\n" \
    "strb   r0, [r6], #1\n" \
    STORE_NEXT_BY("10b") \
    "8:\n" /* 8 bits */ \
    HALVE("ssat", "8") \
    LOAD_PLACES \
    "strb   r1, [r6, r7]\n" \
    "strb   r2, [r6, r8]\n" \
    "strb   r0, [r6], #1\n" \
    "strb   r4, [r6, r7]\n" \
    "strb   r5, [r6, r8]\n" \
    "strb   r3, [r6], #1\n" \
    "11:\n" \
    "str    r6, [sp, #28]\n"

#endif

#endif
