/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Average pooling of packed maps with DSP instructions. Means are packed as they are made, a word of them at a time.
 */
#include "mk_average_pool_packed_dsp.h"

#include "mk_average_pool_dsp.h"

#if !MK_DSP

void mk_average_pool_packed_dsp(const mk_average_pool_packed_dsp_params *params, const mk_map *input,
                                const mk_map *output, uint16_t first_row, uint16_t last_row, void *scratch)
{
    mk_average_pool_packed(params, input, output, first_row, last_row, scratch);
}

#else

/* Four means at four places of a word; all are constants. */
#define INSERT_FOUR(word, sums, factor, position, bits) \
    do { \
        MK_INSERT(word, mk_divided_sum((sums)[0], factor), (position), bits); \
        MK_INSERT(word, mk_divided_sum((sums)[1], factor), (position) + (bits), bits); \
        MK_INSERT(word, mk_divided_sum((sums)[2], factor), (position) + 2 * (bits), bits); \
        MK_INSERT(word, mk_divided_sum((sums)[3], factor), (position) + 3 * (bits), bits); \
    } while (0)

/* Channels that fill no word. Their means take the place of their sums. */
static void average_rest(int32_t *sums, uint32_t channels, uint32_t factor, uint32_t bits, int8_t *out)
{
    int8_t *const means = (int8_t *)sums;
    for (uint32_t c = 0; c < channels; ++c) {
        means[c] = (int8_t)mk_divided_sum(sums[c], factor);
    }
    mk_pack(means, channels, bits, out);
}

static __attribute__((noinline)) void average_of_4_bits(int32_t *sums, uint32_t channels, uint32_t factor, int8_t *out)
{
    for (; channels >= 8; channels -= 8, sums += 8, out += 4) {
        uint32_t word = 0;
        INSERT_FOUR(word, sums, factor, 0, 4);
        INSERT_FOUR(word, sums + 4, factor, 16, 4);
        /* What is stored is a value with its sign inverted. */
        mk_store_word(out, word ^ 0x88888888u);
    }
    if (channels != 0) {
        average_rest(sums, channels, factor, 4, out);
    }
}

static __attribute__((noinline)) void average_of_2_bits(int32_t *sums, uint32_t channels, uint32_t factor, int8_t *out)
{
    for (; channels >= 16; channels -= 16, sums += 16, out += 4) {
        uint32_t word = 0;
        INSERT_FOUR(word, sums, factor, 0, 2);
        INSERT_FOUR(word, sums + 4, factor, 8, 2);
        INSERT_FOUR(word, sums + 8, factor, 16, 2);
        INSERT_FOUR(word, sums + 12, factor, 24, 2);
        mk_store_word(out, word ^ 0xAAAAAAAAu);
    }
    if (channels != 0) {
        average_rest(sums, channels, factor, 2, out);
    }
}

void mk_average_pool_packed_dsp(const mk_average_pool_packed_dsp_params *params, const mk_map *input,
                                const mk_map *output, uint16_t first_row, uint16_t last_row, void *scratch)
{
    const uint32_t channels = output->channels, bits = output->bits, step = MK_PIXEL_BYTES(channels, bits);
    const mk_window *w = &params->window;
    mk_sum_stored *const sum = bits == 4 ? mk_sum_4_bits : mk_sum_2_bits;
    mk_average_pixel *const average = bits == 4 ? average_of_4_bits : average_of_2_bits;
    for (int32_t y = first_row; y < last_row; ++y) {
        mk_average_pool_row(w, input, output, y, bits, mk_packed_offset(bits), sum, average, scratch);
        mk_limit_pixels(mk_row(output, y), output->columns, step, channels, bits, params->minimum, params->maximum);
    }
}

#endif
