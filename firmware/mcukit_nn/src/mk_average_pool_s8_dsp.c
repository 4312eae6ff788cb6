/* SPDX-License-Identifier: Apache-2.0 */
/* Average pooling with DSP instructions: eight channels at a time are summed, and multiplied instead of divided. */
#include "mk_average_pool_s8_dsp.h"

#include "mk_average_pool_dsp.h"

#if !MK_DSP

void mk_average_pool_s8_dsp(const mk_average_pool_s8_dsp_params *params, const mk_map *input, const mk_map *output,
                            uint16_t first_row, uint16_t last_row, void *scratch)
{
    mk_average_pool_s8(params, input, output, first_row, last_row, scratch);
}

#else

static __attribute__((noinline)) void average(int32_t *sums, uint32_t channels, uint32_t factor, int8_t *out)
{
    for (; channels >= 4; channels -= 4, sums += 4, out += 4) {
        const int32_t first = sums[0], second = sums[1], third = sums[2], fourth = sums[3];
        uint32_t word = (uint32_t)mk_divided_sum(first, factor);
        MK_INSERT(word, mk_divided_sum(second, factor), 8, 8);
        MK_INSERT(word, mk_divided_sum(third, factor), 16, 8);
        MK_INSERT(word, mk_divided_sum(fourth, factor), 24, 8);
        mk_store_word(out, word);
    }
    for (; channels != 0; --channels) {
        *out++ = (int8_t)mk_divided_sum(*sums++, factor);
    }
}

void mk_average_pool_s8_dsp(const mk_average_pool_s8_dsp_params *params, const mk_map *input, const mk_map *output,
                            uint16_t first_row, uint16_t last_row, void *scratch)
{
    for (int32_t y = first_row; y < last_row; ++y) {
        mk_average_pool_row(&params->window, input, output, y, 8, 0, mk_sum_8_bits, average, scratch);
        mk_limit_bytes(mk_row(output, y), (uint32_t)output->columns * output->channels, params->minimum,
                       params->maximum);
    }
}

#endif
