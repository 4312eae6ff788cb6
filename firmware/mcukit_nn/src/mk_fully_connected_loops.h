/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The loops of mk_fully_connected_packed_dsp.c: four filters meet expanded inputs, X02 and X13 of every four. Not part of
 * the public interface. Compilers have more in mind than registers hold, so that the loops are in assembly.
 */
#ifndef MK_FULLY_CONNECTED_LOOPS_H
#define MK_FULLY_CONNECTED_LOOPS_H

#include "mk_dsp.h"

#if MK_DSP

/* Four sums, or those of two pairs of filters in the lower and upper bits of the first two. */
typedef struct mk_four_sums {
    int32_t s0, s1, s2, s3;
} mk_four_sums;

#if MK_DSP_INSTRUCTIONS

/* Four taps of one row at `address`, which is added to `sum`. */
#define MK_ADD_ROW(address, sum) \
    "ldr    r8, " address "\n" \
    "sxtb16 r9, r8\n" \
    "sxtb16 r8, r8, ror #8\n" \
    "smlad  " sum ", r9, r4, " sum "\n" \
    "smlad  " sum ", r8, r5, " sum "\n"

/* `fours` > 0 times four inputs with four rows of bytes, `step` bytes apart. */
static inline mk_four_sums mk_multiply_rows(const uint32_t *x, uint32_t fours, const int8_t *w, size_t step,
                                            mk_four_sums sums)
{
    const int8_t *last = w + 3 * step;
    __asm__ volatile(
        "1:\n"
        "ldrd   r4, r5, [%4], #8\n"
        MK_ADD_ROW("[%6]", "%0")
        MK_ADD_ROW("[%6, %8]", "%1")
        MK_ADD_ROW("[%6, %8, lsl #1]", "%2")
        MK_ADD_ROW("[%7], #4", "%3")
        "add    %6, %6, #4\n"
        "subs   %5, %5, #1\n"
        "bne    1b\n"
        : "+r"(sums.s0), "+r"(sums.s1), "+r"(sums.s2), "+r"(sums.s3), "+r"(x), "+r"(fours), "+r"(w), "+r"(last)
        : "r"(step)
        : "r4", "r5", "r8", "r9", "cc", "memory");
    return sums;
}

/* Two taps of a filter of 4 bits, rotated to the lowest bits of each half. */
#define MK_ADD_WIDE(rotation, input, sum) \
    "and    r9, %8, r8" rotation "\n" \
    "smlad  " sum ", r9, " input ", " sum "\n"
#define MK_ADD_WIDE_PAIR(weights, first, second) \
    "ldr    r8, [" weights "], #4\n" \
    MK_ADD_WIDE("", "r4", first) MK_ADD_WIDE(", ror #12", "r4", second) \
    MK_ADD_WIDE(", ror #8", "r5", first) MK_ADD_WIDE(", ror #20", "r5", second)

/* The same with two pairs of filters of 4 bits, a word of each for four taps, whose fields are distances. */
static inline mk_four_sums mk_multiply_wide(const uint32_t *x, uint32_t fours, const uint32_t *w, const uint32_t *v,
                                            mk_four_sums sums)
{
    __asm__ volatile(
        "1:\n"
        "ldrd   r4, r5, [%4], #8\n"
        MK_ADD_WIDE_PAIR("%6", "%0", "%1") MK_ADD_WIDE_PAIR("%7", "%2", "%3")
        "subs   %5, %5, #1\n"
        "bne    1b\n"
        : "+r"(sums.s0), "+r"(sums.s1), "+r"(sums.s2), "+r"(sums.s3), "+r"(x), "+r"(fours), "+r"(w), "+r"(v)
        : "r"(0x000F000Fu)
        : "r4", "r5", "r8", "r9", "cc", "memory");
    return sums;
}

/* Two taps of two pairs of filters which share their products. */
#define MK_ADD_SHARED(rotation, input) \
    "and    r10, %5, r8" rotation "\n" \
    "smlad  %0, r10, " input ", %0\n" \
    "and    r10, %5, r9" rotation "\n" \
    "smlad  %1, r10, " input ", %1\n"

/* `words` > 0 words of two pairs of filters of 4 bits, side by side; four taps each. Moves on in inputs. */
static inline mk_four_sums mk_multiply_shared_4(const uint32_t **inputs, uint32_t words, const uint32_t *w,
                                                mk_four_sums sums)
{
    const uint32_t *x = *inputs;
    __asm__ volatile(
        "1:\n"
        "ldrd   r4, r5, [%2], #8\n"
        "ldrd   r8, r9, [%4], #8\n"
        "subs   %3, %3, #1\n"
        MK_ADD_SHARED("", "r4") MK_ADD_SHARED(", ror #8", "r5")
        "bne    1b\n"
        : "+r"(sums.s0), "+r"(sums.s1), "+r"(x), "+r"(words), "+r"(w)
        : "r"(0xF00FF00Fu)
        : "r4", "r5", "r8", "r9", "r10", "cc", "memory");
    *inputs = x;
    return sums;
}

/* The same of 2 bits; eight taps each. */
static inline mk_four_sums mk_multiply_shared_2(const uint32_t **inputs, uint32_t words, const uint32_t *w,
                                                mk_four_sums sums)
{
    const uint32_t *x = *inputs;
    __asm__ volatile(
        "1:\n"
        "ldrd   r4, r5, [%2], #8\n"
        "ldrd   r8, r9, [%4], #8\n"
        "subs   %3, %3, #1\n"
        MK_ADD_SHARED("", "r4") MK_ADD_SHARED(", ror #4", "r5")
        "ldrd   r4, r5, [%2], #8\n"
        MK_ADD_SHARED(", ror #8", "r4") MK_ADD_SHARED(", ror #12", "r5")
        "bne    1b\n"
        : "+r"(sums.s0), "+r"(sums.s1), "+r"(x), "+r"(words), "+r"(w)
        : "r"(0xC003C003u)
        : "r4", "r5", "r8", "r9", "r10", "cc", "memory");
    *inputs = x;
    return sums;
}

/* The same for a lone pair of filters, whose words follow each other: its sums are those of s0. */
#define MK_ADD_LONE(rotation, input) \
    "and    r9, %4, r8" rotation "\n" \
    "smlad  %0, r9, " input ", %0\n"

static inline mk_four_sums mk_multiply_lone_4(const uint32_t **inputs, uint32_t words, const uint32_t *w,
                                              mk_four_sums sums)
{
    const uint32_t *x = *inputs;
    __asm__ volatile(
        "1:\n"
        "ldrd   r4, r5, [%1], #8\n"
        "ldr    r8, [%3], #4\n"
        "subs   %2, %2, #1\n"
        MK_ADD_LONE("", "r4") MK_ADD_LONE(", ror #8", "r5")
        "bne    1b\n"
        : "+r"(sums.s0), "+r"(x), "+r"(words), "+r"(w)
        : "r"(0xF00FF00Fu)
        : "r4", "r5", "r8", "r9", "cc", "memory");
    *inputs = x;
    return sums;
}

static inline mk_four_sums mk_multiply_lone_2(const uint32_t **inputs, uint32_t words, const uint32_t *w,
                                              mk_four_sums sums)
{
    const uint32_t *x = *inputs;
    __asm__ volatile(
        "1:\n"
        "ldrd   r4, r5, [%1], #8\n"
        "ldr    r8, [%3], #4\n"
        "subs   %2, %2, #1\n"
        MK_ADD_LONE("", "r4") MK_ADD_LONE(", ror #4", "r5")
        "ldrd   r4, r5, [%1], #8\n"
        MK_ADD_LONE(", ror #8", "r4") MK_ADD_LONE(", ror #12", "r5")
        "bne    1b\n"
        : "+r"(sums.s0), "+r"(x), "+r"(words), "+r"(w)
        : "r"(0xC003C003u)
        : "r4", "r5", "r8", "r9", "cc", "memory");
    *inputs = x;
    return sums;
}

#else

static inline uint32_t mk_rotate(uint32_t word, uint32_t amount)
{
    return amount == 0 ? word : word >> amount | word << (32 - amount);
}

static inline int32_t mk_multiply_row(const uint32_t *x, const int8_t *w, int32_t sum)
{
    const uint32_t word = mk_load_word(w);
    return mk_multiply_pairs(mk_extend_odd(word), x[1], mk_multiply_pairs(mk_extend_even(word), x[0], sum));
}

static inline mk_four_sums mk_multiply_rows(const uint32_t *x, uint32_t fours, const int8_t *w, size_t step,
                                            mk_four_sums sums)
{
    for (; fours != 0; --fours, x += 2, w += 4) {
        sums.s0 = mk_multiply_row(x, w, sums.s0);
        sums.s1 = mk_multiply_row(x, w + step, sums.s1);
        sums.s2 = mk_multiply_row(x, w + 2 * step, sums.s2);
        sums.s3 = mk_multiply_row(x, w + 3 * step, sums.s3);
    }
    return sums;
}

static inline int32_t mk_multiply_field(const uint32_t *x, uint32_t word, uint32_t rotation, int32_t sum)
{
    const uint32_t pair02 = mk_rotate(word, rotation) & 0x000F000Fu, pair13 = mk_rotate(word, rotation + 8) & 0x000F000Fu;
    return mk_multiply_pairs(pair13, x[1], mk_multiply_pairs(pair02, x[0], sum));
}

static inline mk_four_sums mk_multiply_wide(const uint32_t *x, uint32_t fours, const uint32_t *w, const uint32_t *v,
                                            mk_four_sums sums)
{
    for (; fours != 0; --fours, x += 2, ++w, ++v) {
        sums.s0 = mk_multiply_field(x, *w, 0, sums.s0);
        sums.s1 = mk_multiply_field(x, *w, 12, sums.s1);
        sums.s2 = mk_multiply_field(x, *v, 0, sums.s2);
        sums.s3 = mk_multiply_field(x, *v, 12, sums.s3);
    }
    return sums;
}

/* pairs: of filters, which stand side by side. */
static inline mk_four_sums mk_multiply_shared(const uint32_t **inputs, uint32_t words, const uint32_t *w, uint32_t pairs,
                                              uint32_t bits, mk_four_sums sums)
{
    const uint32_t mask = bits == 4 ? 0xF00FF00Fu : 0xC003C003u;
    for (; words != 0; --words, w += pairs) {
        for (uint32_t rotation = 0; rotation < 16; rotation += 2 * bits, ++*inputs) {
            sums.s0 = mk_multiply_pairs(mk_rotate(w[0], rotation) & mask, **inputs, sums.s0);
            if (pairs == 2) {
                sums.s1 = mk_multiply_pairs(mk_rotate(w[1], rotation) & mask, **inputs, sums.s1);
            }
        }
    }
    return sums;
}

#define mk_multiply_shared_4(inputs, words, w, sums) mk_multiply_shared(inputs, words, w, 2, 4, sums)
#define mk_multiply_shared_2(inputs, words, w, sums) mk_multiply_shared(inputs, words, w, 2, 2, sums)
#define mk_multiply_lone_4(inputs, words, w, sums) mk_multiply_shared(inputs, words, w, 1, 4, sums)
#define mk_multiply_lone_2(inputs, words, w, sums) mk_multiply_shared(inputs, words, w, 1, 2, sums)

#endif

#endif

#endif
