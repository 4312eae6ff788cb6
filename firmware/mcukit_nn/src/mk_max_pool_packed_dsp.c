/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Max pooling of packed maps with DSP instructions. Stored values have no sign, so that the larger one of two bytes
 * has the larger one of their upper 4 bits, whatever is below; the lower 4 bits are shifted up there. Of 2 bits
 * larger values are found bit by bit.
 */
#include "mk_max_pool_packed_dsp.h"

#include "mk_max_pool_dsp.h"
#include "mk_packed.h"

#if !MK_DSP

void mk_max_pool_packed_dsp(const mk_max_pool_packed_dsp_params *params, const mk_map *input, const mk_map *output,
                            uint16_t first_row, uint16_t last_row)
{
    mk_max_pool_packed(params, input, output, first_row, last_row);
}

#else

/* The largest upper 4 bits of four words' bytes, after a shift to the left; what is below them is left over. */
static inline uint32_t largest_halves(uint32_t a, uint32_t b, uint32_t c, uint32_t d, uint32_t shift)
{
    const uint32_t first = mk_larger_unsigned_bytes(a << shift, b << shift);
    return mk_larger_unsigned_bytes(mk_larger_unsigned_bytes(first, c << shift), d << shift);
}

static inline uint32_t largest_word_of_4_bits(uint32_t a, uint32_t b, uint32_t c, uint32_t d)
{
    const uint32_t upper = mk_in_register(0xF0F0F0F0u);
    return (largest_halves(a, b, c, d, 0) & upper) | (largest_halves(a, b, c, d, 4) & upper) >> 4;
}

/*
 * The larger one of each two fields of 2 bits: where only one of them has the upper bit, the other one's lower bit
 * goes.
 */
static inline uint32_t larger_of_2_bits(uint32_t a, uint32_t b)
{
    const uint32_t lower = mk_in_register(0x55555555u);
    const uint32_t only_b = (b & ~a) >> 1 & lower, only_a = (a & ~b) >> 1 & lower;
    return (a & ~only_b) | (b & ~only_a);
}

static inline uint32_t largest_word_of_2_bits(uint32_t a, uint32_t b, uint32_t c, uint32_t d)
{
    return larger_of_2_bits(larger_of_2_bits(larger_of_2_bits(a, b), c), d);
}

static __attribute__((noinline)) void largest_of_4_bits(const mk_comparison *comparison)
{
    mk_largest_words(comparison, largest_word_of_4_bits);
}

static __attribute__((noinline)) void largest_of_2_bits(const mk_comparison *comparison)
{
    mk_largest_words(comparison, largest_word_of_2_bits);
}

void mk_max_pool_packed_dsp(const mk_max_pool_packed_dsp_params *params, const mk_map *input, const mk_map *output,
                            uint16_t first_row, uint16_t last_row)
{
    const uint32_t channels = output->channels, bits = output->bits, step = MK_PIXEL_BYTES(channels, bits);
    for (int32_t y = first_row; y < last_row; ++y) {
        mk_max_pool_row(&params->window, input, output, y, step, 0,
                        bits == 4 ? largest_of_4_bits : largest_of_2_bits);
        mk_limit_pixels(mk_row(output, y), output->columns, step, channels, bits, params->minimum, params->maximum);
    }
}

#endif
