/* SPDX-License-Identifier: Apache-2.0 */
/* Max pooling with DSP instructions: four channels of four pixels at a time. */
#include "mk_max_pool_s8_dsp.h"

#include "mk_max_pool_dsp.h"

#if !MK_DSP

void mk_max_pool_s8_dsp(const mk_max_pool_s8_dsp_params *params, const mk_map *input, const mk_map *output,
                        uint16_t first_row, uint16_t last_row)
{
    mk_max_pool_s8(params, input, output, first_row, last_row);
}

#else

static inline uint32_t largest_word(uint32_t a, uint32_t b, uint32_t c, uint32_t d)
{
    return mk_larger_bytes(mk_larger_bytes(mk_larger_bytes(a, b), c), d);
}

static __attribute__((noinline)) void largest(const mk_comparison *comparison)
{
    mk_largest_words(comparison, largest_word);
}

/* Limits a row of the output, four values at a time as far as there are so many. */
static void limit(int8_t *values, uint32_t count, int32_t minimum, int32_t maximum)
{
    /* The smaller one of two is what inverting leaves of the larger one of both inverted. */
    const uint32_t least = (uint8_t)minimum * 0x01010101u, most = ~((uint8_t)maximum * 0x01010101u);
    for (; count >= 4; count -= 4, values += 4) {
        const uint32_t raised = mk_larger_bytes(mk_load_word(values), least);
        mk_store_word(values, ~mk_larger_bytes(~raised, most));
    }
    mk_limit_bytes(values, count, minimum, maximum);
}

void mk_max_pool_s8_dsp(const mk_max_pool_s8_dsp_params *params, const mk_map *input, const mk_map *output,
                        uint16_t first_row, uint16_t last_row)
{
    const uint32_t channels = output->channels;
    const bool is_limited = params->minimum > -128 || params->maximum < 127;
    for (int32_t y = first_row; y < last_row; ++y) {
        mk_max_pool_row(&params->window, input, output, y, channels, -128, largest);
        if (is_limited) {
            limit(mk_row(output, y), output->columns * channels, params->minimum, params->maximum);
        }
    }
}

#endif
