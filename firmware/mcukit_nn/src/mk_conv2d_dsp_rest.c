/* SPDX-License-Identifier: Apache-2.0 */
/* Convolution with DSP instructions, weights of 4 and 2 bits: what is left over by the loops of mk_conv2d_dsp_*.c. */
#include "mk_conv2d_dsp_fields.h"

#if MK_DSP

#define PIXELS MK_DSP_PIXELS

/* The filters of a pair over a pixel, two fields each at a time. */
typedef struct pair_sums {
    int32_t a, b;
} pair_sums;

#if MK_DSP_INSTRUCTIONS

void mk_conv2d_dsp_add_inputs(const mk_conv2d_dsp_block *b, int32_t totals[PIXELS])
{
    const uint32_t *x = b->inputs;
    int32_t total0 = 0, total1 = 0, total2 = 0;
    __asm__ volatile(
        "1:\n"
        "ldm    %0!, {r4, r5, r6, r8, r9, r10}\n"
        "cmp    %0, %4\n"
        "smlad  %1, r4, %5, %1\n"
        "smlad  %2, r5, %5, %2\n"
        "smlad  %3, r6, %5, %3\n"
        "smlad  %1, r8, %5, %1\n"
        "smlad  %2, r9, %5, %2\n"
        "smlad  %3, r10, %5, %3\n"
        "bne    1b\n"
        : "+r"(x), "+r"(total0), "+r"(total1), "+r"(total2)
        : "r"(b->inputs_end), "r"(0x00010001u)
        : "r4", "r5", "r6", "r8", "r9", "r10", "cc", "memory");
    totals[0] = total0;
    totals[1] = total1;
    totals[2] = total2;
}

#else

void mk_conv2d_dsp_add_inputs(const mk_conv2d_dsp_block *b, int32_t totals[PIXELS])
{
    for (uint32_t i = 0; i < PIXELS; ++i) {
        totals[i] = 0;
        for (const uint32_t *x = b->inputs + i; x < b->inputs_end; x += PIXELS) {
            totals[i] = mk_multiply_pairs(*x, 0x00010001u, totals[i]);
        }
    }
}

#endif

/*
 * Adds the products of stored weights, as distances, with one pixel. bits is a constant wherever this is inlined. Inputs
 * of 8 bits that meet weights of 4 are such that X02 are 2^8 times as large as they are: so are the sums then.
 */
static inline pair_sums multiply_pair(mk_pair pair, uint32_t words, uint32_t bits, uint32_t signs, bool is_wide,
                                      const uint32_t *x)
{
    const uint32_t mask = bits == 4 ? 0x000F000Fu : 0x00030003u, mask13 = is_wide ? mask << 8 : mask;
    const uint32_t shift13 = is_wide ? 0 : 2 * bits;
    pair_sums sums = {0, 0};
    for (const uint32_t *next = pair.words; words != 0; --words, next += pair.step) {
        uint32_t a = *next ^ signs, b = a >> (16 - bits) | a << (16 + bits);
        for (uint32_t fours = 4 / bits; fours != 0; --fours, x += MK_DSP_WORDS_OF_FOUR_TAPS) {
            sums.a = mk_multiply_pairs(a & mask, x[0], sums.a);
            sums.b = mk_multiply_pairs(b & mask, x[0], sums.b);
            sums.a = mk_multiply_pairs(a >> shift13 & mask13, x[PIXELS], sums.a);
            sums.b = mk_multiply_pairs(b >> shift13 & mask13, x[PIXELS], sums.b);
            a >>= 4 * bits;
            b >>= 4 * bits;
        }
    }
    return sums;
}

/* What turns the fields of words into distances. */
static inline uint32_t distances(uint32_t bits, bool is_wide)
{
    if (bits == 2) {
        return 0x88888888u;
    }
    return is_wide ? 0 : 0x80808080u;
}

static __attribute__((noinline)) void sum_pair(const mk_conv2d_dsp_layer *layer, const mk_conv2d_dsp_block *b,
                                               uint32_t first, const uint32_t *x, int32_t total, int32_t sums[2])
{
    const uint32_t bits = layer->weight_bits, words = mk_pair_words(layer->taps, bits);
    const bool is_wide = bits == 4 && layer->input->bits == 8;
    const mk_pair pair = mk_pair_at(b->weights, first, layer->filters, words, is_wide);
    pair_sums found;
    if (bits == 2) {
        found = multiply_pair(pair, words, 2, distances(2, false), false, x);
    } else if (is_wide) {
        found = multiply_pair(pair, words, 4, distances(4, true), true, x);
        found.a >>= 8;
        found.b >>= 8;
    } else {
        found = multiply_pair(pair, words, 4, distances(4, false), false, x);
    }
    const int32_t surplus = total * (1 << (bits - 1));
    sums[0] = b->bias[first] + found.a - surplus;
    sums[1] = first + 1 < layer->filters ? b->bias[first + 1] + found.b - surplus : 0;
}

void mk_conv2d_dsp_multiply_rest(const mk_conv2d_dsp_layer *layer, const mk_conv2d_dsp_block *b, uint32_t first,
                                 uint32_t pixels, const int32_t totals[PIXELS])
{
    const ptrdiff_t steps[PIXELS] = {0, b->step1, b->step2};
    for (; first < layer->filters; first += 2) {
        const uint32_t count = first + 1 < layer->filters ? 2 : 1;
        for (uint32_t i = 0; i < pixels; ++i) {
            int32_t sums[2];
            sum_pair(layer, b, first, b->inputs + i, totals[i], sums);
            mk_conv2d_dsp_store(b, first, count, sums, b->out + steps[i]);
        }
    }
}

#endif
