/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Weights of kernels for packed maps, and their products with inputs of one byte each. Not part of the public
 * interface.
 *
 * Weights of 8 bits are int8_t in their own order. Those of 4 and 2 bits are stored in uint32_t words as their distance
 * from the smallest value of their width. Fields are ordered for kernels that multiply two pairs of 16 bits at a time:
 * one shift and one AND take the weights of inputs 0 and 2, or 1 and 3, of a group of four out of a word.
 *
 *   4 bits: word & 0x000F000F is (w0, w2), >> 4 (w1, w3), >> 8 (w4, w6), >> 12 (w5, w7)
 *   2 bits: word & 0x00030003 is (w0, w2), >> 2 (w1, w3), >> 4 (w4, w6), >> 6 (w5, w7), ... >> 14 (w13, w15)
 *
 * Every filter, or tap of a depthwise filter, begins with a word and ends with one: weights of 0 fill it up.
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

/* Words of `values` weights. */
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

/* The same for one or eight inputs whose weights are fields of the words u and v. */
#define MK_FIELD(multiply, bits, i) \
    multiply(MK_WEIGHT(u, bits, MK_WEIGHT_POSITION(bits, i)), MK_WEIGHT(v, bits, MK_WEIGHT_POSITION(bits, i)))
#define MK_EIGHT_FIELDS(multiply, bits, first) \
    do { \
        MK_FIELD(multiply, bits, (first)); \
        MK_FIELD(multiply, bits, (first) + 1); \
        MK_FIELD(multiply, bits, (first) + 2); \
        MK_FIELD(multiply, bits, (first) + 3); \
        MK_FIELD(multiply, bits, (first) + 4); \
        MK_FIELD(multiply, bits, (first) + 5); \
        MK_FIELD(multiply, bits, (first) + 6); \
        MK_FIELD(multiply, bits, (first) + 7); \
    } while (0)

/* The next input of a pixel with both filters. */
#define MK_MULTIPLY_ONE(weight0, weight1) \
    do { \
        const int32_t ya = *a++; \
        sums.a0 += (weight0) * ya; \
        sums.a1 += (weight1) * ya; \
    } while (0)

/*
 * Adds the products of `words` words of two filters with the inputs of one pixel. Inputs fill the words: those behind
 * the last one are 0.
 */
static inline mk_sums mk_multiply_one(mk_sums sums, const void *filter0, const void *filter1, uint32_t words,
                                      uint32_t bits, const int8_t *a)
{
    if (bits == 8) {
        const int8_t *u = filter0, *v = filter1;
        for (; words != 0; --words) {
            MK_FOUR_BYTES(MK_MULTIPLY_ONE);
        }
        return sums;
    }
    const uint32_t *next0 = filter0, *next1 = filter1;
    if (bits == 4) {
        for (; words != 0; --words) {
            const uint32_t u = mk_signed_weights(*next0++, 4), v = mk_signed_weights(*next1++, 4);
            MK_EIGHT_FIELDS(MK_MULTIPLY_ONE, 4, 0);
        }
    } else {
        for (; words != 0; --words) {
            const uint32_t u = mk_signed_weights(*next0++, 2), v = mk_signed_weights(*next1++, 2);
            MK_EIGHT_FIELDS(MK_MULTIPLY_ONE, 2, 0);
            MK_EIGHT_FIELDS(MK_MULTIPLY_ONE, 2, 8);
        }
    }
    return sums;
}

#endif
