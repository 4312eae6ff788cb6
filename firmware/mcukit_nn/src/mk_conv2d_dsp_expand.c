/* SPDX-License-Identifier: Apache-2.0 */
/* Expands the windows of three pixels to pairs of 16 bits: of every four values first (0, 2), then (1, 3). */
#include "mk_conv2d_dsp.h"

#if MK_DSP

#define PIXELS MK_DSP_PIXELS
#define WORDS_OF_FOUR MK_DSP_WORDS_OF_FOUR_TAPS

/* Puts four values of each of three pixels, which are signed bytes of words. */
static inline uint32_t *expand_bytes(const uint32_t four[PIXELS], uint32_t *out)
{
    for (uint32_t i = 0; i < PIXELS; ++i) {
        out[i] = mk_extend_even(four[i]);
        out[PIXELS + i] = mk_extend_odd(four[i]);
    }
    return out + WORDS_OF_FOUR;
}

/* The same for fields of 4 or 2 bits, the first one lowest. */
static inline uint32_t *expand_fields(const uint32_t four[PIXELS], uint32_t bits, uint32_t *out)
{
    const uint32_t mask = bits == 4 ? 0x000F000Fu : 0x00030003u;
    for (uint32_t i = 0; i < PIXELS; ++i) {
        const uint32_t apart = four[i] | four[i] << (16 - 2 * bits);
        out[i] = apart & mask;
        out[PIXELS + i] = apart >> bits & mask;
    }
    return out + WORDS_OF_FOUR;
}

#if MK_DSP_INSTRUCTIONS

static inline uint32_t *expand_words(const int8_t *const sources[PIXELS], uint32_t words, uint32_t *out)
{
    const int8_t *a = sources[0], *b = sources[1], *c = sources[2];
    /* Where there is a frame pointer, compilers for cores with Helium do not find this register by themselves. */
    register uint32_t *to __asm__("r12") = out;
    __asm__ volatile(
        "1:\n"
        "ldr    r8, [%0], #4\n"
        "ldr    r9, [%1], #4\n"
        "ldr    r10, [%2], #4\n"
        "sxtb16 r4, r8\n"
        "sxtb16 r5, r9\n"
        "sxtb16 r6, r10\n"
        "sxtb16 r8, r8, ror #8\n"
        "sxtb16 r9, r9, ror #8\n"
        "sxtb16 r10, r10, ror #8\n"
        "subs   %3, %3, #1\n"
        "stm    %4!, {r4, r5, r6, r8, r9, r10}\n"
        "bne    1b\n"
        : "+r"(a), "+r"(b), "+r"(c), "+r"(words), "+r"(to)
        :
        : "r4", "r5", "r6", "r8", "r9", "r10", "cc", "memory");
    return to;
}

/*
 * Four values of 4 or 2 bits of each pixel: `load` takes them all, `distance` is how far the third one is from the
 * upper half of a word.
 */
#define EXPAND_FOUR(load, bytes, distance, bits) \
    load "   r8, [%0], #" bytes "\n" \
    load "   r9, [%1], #" bytes "\n" \
    load "   r10, [%2], #" bytes "\n" \
    "orr    r8, r8, r8, lsl #" distance "\n" \
    "orr    r9, r9, r9, lsl #" distance "\n" \
    "orr    r10, r10, r10, lsl #" distance "\n" \
    "and    r4, r8, %5\n" \
    "and    r5, r9, %5\n" \
    "and    r6, r10, %5\n" \
    "and    r8, %5, r8, lsr #" bits "\n" \
    "and    r9, %5, r9, lsr #" bits "\n" \
    "and    r10, %5, r10, lsr #" bits "\n" \
    "stm    %4!, {r4, r5, r6, r8, r9, r10}\n"

/* `fours` times that, two a turn: where their number is odd, the loop is entered between the two. */
#define EXPAND_FOURS(load, bytes, distance, bits, mask) \
    do { \
        const int8_t *a = sources[0], *b = sources[1], *c = sources[2]; \
        __asm__ volatile( \
            "lsrs   %3, %3, #1\n" \
            "bcs    2f\n" \
            "1:\n" \
            "subs   %3, %3, #1\n" \
            EXPAND_FOUR(load, bytes, distance, bits) \
            "2:\n" \
            EXPAND_FOUR(load, bytes, distance, bits) \
            "bne    1b\n" \
            : "+r"(a), "+r"(b), "+r"(c), "+r"(fours), "+r"(out) \
            : "r"(mask) \
            : "r4", "r5", "r6", "r8", "r9", "r10", "cc", "memory"); \
    } while (0)

static inline uint32_t *expand_fours_4(const int8_t *const sources[PIXELS], uint32_t fours, uint32_t *out)
{
    EXPAND_FOURS("ldrh", "2", "8", "4", 0x000F000Fu);
    return out;
}

static inline uint32_t *expand_fours_2(const int8_t *const sources[PIXELS], uint32_t fours, uint32_t *out)
{
    EXPAND_FOURS("ldrb", "1", "12", "2", 0x00030003u);
    return out;
}

#else

static uint32_t *expand_words(const int8_t *const sources[PIXELS], uint32_t words, uint32_t *out)
{
    for (uint32_t word = 0; word < words; ++word) {
        uint32_t four[PIXELS];
        for (uint32_t i = 0; i < PIXELS; ++i) {
            four[i] = mk_load_word(sources[i] + 4 * word);
        }
        out = expand_bytes(four, out);
    }
    return out;
}

static uint32_t *expand_fours_4(const int8_t *const sources[PIXELS], uint32_t fours, uint32_t *out)
{
    for (uint32_t at = 0; at < 2 * fours; at += 2) {
        uint32_t four[PIXELS];
        for (uint32_t i = 0; i < PIXELS; ++i) {
            four[i] = mk_load_part_of_word(sources[i] + at, 2);
        }
        out = expand_fields(four, 4, out);
    }
    return out;
}

static uint32_t *expand_fours_2(const int8_t *const sources[PIXELS], uint32_t fours, uint32_t *out)
{
    for (uint32_t at = 0; at < fours; ++at) {
        uint32_t four[PIXELS];
        for (uint32_t i = 0; i < PIXELS; ++i) {
            four[i] = (uint8_t)sources[i][at];
        }
        out = expand_fields(four, 2, out);
    }
    return out;
}

#endif

uint32_t *mk_conv2d_dsp_expand_8(const int8_t *const sources[PIXELS], uint32_t count, uint32_t *out)
{
    const uint32_t words = count / 4, left = count % 4;
    if (words != 0) {
        out = expand_words(sources, words, out);
    }
    if (left != 0) {
        uint32_t last[PIXELS];
        for (uint32_t i = 0; i < PIXELS; ++i) {
            last[i] = mk_load_part_of_word(sources[i] + 4 * words, left);
        }
        out = expand_bytes(last, out);
    }
    return out;
}

uint32_t *mk_conv2d_dsp_expand_4(const int8_t *const sources[PIXELS], uint32_t count, uint32_t *out)
{
    const uint32_t fours = count / 2;
    if (fours != 0) {
        out = expand_fours_4(sources, fours, out);
    }
    if (count % 2 != 0) {
        uint32_t last[PIXELS];
        for (uint32_t i = 0; i < PIXELS; ++i) {
            last[i] = (uint8_t)sources[i][2 * fours];
        }
        out = expand_fields(last, 4, out);
    }
    return out;
}

uint32_t *mk_conv2d_dsp_expand_2(const int8_t *const sources[PIXELS], uint32_t count, uint32_t *out)
{
    return expand_fours_2(sources, count, out);
}

#endif
