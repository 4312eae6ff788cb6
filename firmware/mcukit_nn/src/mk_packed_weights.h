/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Weights of kernels for packed maps, and their products with inputs of one byte each. Not part of the public
 * interface.
 *
 * Weights of 8 bits are int8_t: convolutions have them as mk_conv2d_s8.h says, others in their own order. Those of 4 and
 * 2 bits are fields of uint32_t words, stored as their distance from the smallest value of their width, or as two's
 * complement where it is said below. Fields are ordered for kernels that multiply two pairs of 16 bits at a time.
 *
 * Depthwise filters: one shift and one AND take the weights of inputs 0 and 2, or 1 and 3, of a group of four out of a
 * word. Every tap begins with a word and ends with one: weights of 0 fill it up.
 *
 *   4 bits: word & 0x000F000F is (w0, w2), >> 4 (w1, w3), >> 8 (w4, w6), >> 12 (w5, w7)
 *   2 bits: word & 0x00030003 is (w0, w2), >> 2 (w1, w3), >> 4 (w4, w6), >> 6 (w5, w7), ... >> 14 (w13, w15)
 *
 * Other filters stand in pairs: a word holds four taps of 4 bits, or eight of 2 bits, of both a and b. One rotation and
 * one AND take two taps of both out of it: a in the lowest, b in the highest bits of each half.
 *
 *   4 bits: word & 0xF00FF00F is (a0 b0, a2 b2), rotated right by 8 (a1 b1, a3 b3)
 *   2 bits: word & 0xC003C003 is (a0 b0, a2 b2), rotated right by 4 (a1 b1, a3 b3), by 8 (a4 b4, a6 b6), by 12 (a5 b5,
 *           a7 b7)
 *
 * So b is a signed number above the sum of products of a, and is stored as two's complement. Four filters stand side by
 * side, a word of the first pair before one of the second; then, where their number leaves one or two, words of a lone
 * pair. But where weights of 4 bits meet inputs of 8, whose products are too large for that, b is stored as a distance
 * too, and all pairs stand alone. Beside a lone filter stand weights of 0, and they fill the last word.
 *
 * Portable code takes one weight at a time: the highest bit of every field is flipped, which turns the distances of a
 * word into two's complement at once, then a field is moved to the top of a register and back, which is one bit field
 * extraction where the core has it.
 */
#ifndef MK_PACKED_WEIGHTS_H
#define MK_PACKED_WEIGHTS_H

#include "mk_common.h"

/* Lowest bit of value `index` of a word. */
#define MK_WEIGHT_POSITION(bits, index) ((bits) * ((index) / 4 * 2 + (index) % 2) + (index) / 2 % 2 * 16)

/* The value at a position of a word that mk_signed_weights has seen. */
#define MK_WEIGHT(word, bits, position) ((int32_t)((word) << (32 - (bits) - (position))) >> (32 - (bits)))

static inline uint32_t mk_signed_weights(uint32_t word, uint32_t bits)
{
    return word ^ (bits == 4 ? 0x88888888u : 0xAAAAAAAAu);
}

/* Words of `values` weights of a filter or tap on its own. */
static inline uint32_t mk_weight_words(uint32_t values, uint32_t bits)
{
    return (values + 32 / bits - 1) / (32 / bits);
}

/* `words` words further. */
static inline const void *mk_weights_at(const void *weights, uint32_t words)
{
    return (const int8_t *)weights + 4 * (size_t)words;
}

/* Sums of two filters over one pixel, or over two, a and b. */
typedef struct mk_sums {
    int32_t a0, a1, b0, b1;
} mk_sums;

/* `multiply(weight of the first filter, weight of the second)` for four inputs: bytes at u and v, which go on. */
#define MK_FOUR_BYTES(multiply) \
    do { \
        multiply(*u++, *v++); \
        multiply(*u++, *v++); \
        multiply(*u++, *v++); \
        multiply(*u++, *v++); \
    } while (0)

/* Lowest bit of tap `index` of the first filter of a pair and of the second. */
#define MK_FIRST_OF_PAIR(bits, index) (2 * MK_WEIGHT_POSITION(bits, index) - (index) / 2 % 2 * 16)
#define MK_SECOND_OF_PAIR(bits, index) ((MK_FIRST_OF_PAIR(bits, index) + 16 - (bits)) % 32)

/* What turns all fields of a pair's words into two's complement. input_bits: of the inputs that they meet. */
static inline uint32_t mk_pair_signs(uint32_t bits, uint32_t input_bits)
{
    if (bits == 2) {
        return 0x22222222u;
    }
    return input_bits == 8 ? 0x88888888u : 0x08080808u;
}

/* Words of a pair of filters of 4 or 2 bits. */
static inline uint32_t mk_pair_words(uint32_t taps, uint32_t bits)
{
    return (taps + 16 / bits - 1) / (16 / bits);
}

/* Where the words of a pair are, and `step` words from one to the next. */
typedef struct mk_pair {
    const uint32_t *words;
    uint32_t step;
} mk_pair;

/*
 * The pair that begins with filter `first`, which is even, of `filters`. words: of a pair. is_wide: whether weights of 4
 * bits meet inputs of 8.
 */
static inline mk_pair mk_pair_at(const void *weights, uint32_t first, uint32_t filters, uint32_t words, bool is_wide)
{
    if (is_wide) {
        const mk_pair pair = {(const uint32_t *)weights + first / 2 * words, 1};
        return pair;
    }
    const uint32_t *four = (const uint32_t *)weights + first / 4 * 2 * words;
    const bool is_lone = first / 4 * 4 + 2 >= filters;
    const mk_pair pair = {first % 4 == 0 ? four : four + 1, is_lone ? 1 : 2};
    return pair;
}

/* The same as MK_FOUR_BYTES for one or four inputs whose weights are fields of the word `pair`. */
#define MK_FIELD(multiply, bits, i) \
    multiply(MK_WEIGHT(pair, bits, MK_FIRST_OF_PAIR(bits, i)), MK_WEIGHT(pair, bits, MK_SECOND_OF_PAIR(bits, i)))
#define MK_FOUR_FIELDS(multiply, bits, first) \
    do { \
        MK_FIELD(multiply, bits, (first)); \
        MK_FIELD(multiply, bits, (first) + 1); \
        MK_FIELD(multiply, bits, (first) + 2); \
        MK_FIELD(multiply, bits, (first) + 3); \
    } while (0)

#define MK_FOUR_OF_4_BITS(multiply) MK_FOUR_FIELDS(multiply, 4, 0)
#define MK_EIGHT_OF_2_BITS(multiply) \
    do { \
        MK_FOUR_FIELDS(multiply, 2, 0); \
        MK_FOUR_FIELDS(multiply, 2, 4); \
    } while (0)

/* `all(multiply)` for the next word of a pair, and for `words` of them: eight taps a turn, because loops have a price. */
#define MK_NEXT_PAIR_WORD(multiply, all) \
    do { \
        const uint32_t pair = *next ^ signs; \
        next += filters.step; \
        all(multiply); \
    } while (0)
#define MK_EACH_WORD_OF_4_BITS(multiply) \
    do { \
        for (; words >= 2; words -= 2) { \
            MK_NEXT_PAIR_WORD(multiply, MK_FOUR_OF_4_BITS); \
            MK_NEXT_PAIR_WORD(multiply, MK_FOUR_OF_4_BITS); \
        } \
        if (words != 0) { \
            MK_NEXT_PAIR_WORD(multiply, MK_FOUR_OF_4_BITS); \
        } \
    } while (0)
#define MK_EACH_WORD_OF_2_BITS(multiply) \
    do { \
        for (; words != 0; --words) { \
            MK_NEXT_PAIR_WORD(multiply, MK_EIGHT_OF_2_BITS); \
        } \
    } while (0)

/* The next input of a pixel with both filters. */
#define MK_MULTIPLY_ONE(weight0, weight1) \
    do { \
        const int32_t ya = *a++; \
        sums.a0 += (weight0) * ya; \
        sums.a1 += (weight1) * ya; \
    } while (0)

/*
 * Adds the products of `words` words of a pair of filters with the inputs of one pixel. Inputs fill the words: those
 * behind the last one are 0. signs: see mk_pair_signs.
 */
static inline mk_sums mk_multiply_one(mk_sums sums, mk_pair filters, uint32_t words, uint32_t bits, uint32_t signs,
                                      const int8_t *a)
{
    const uint32_t *next = filters.words;
    if (bits == 4) {
        MK_EACH_WORD_OF_4_BITS(MK_MULTIPLY_ONE);
    } else {
        MK_EACH_WORD_OF_2_BITS(MK_MULTIPLY_ONE);
    }
    return sums;
}

#endif
