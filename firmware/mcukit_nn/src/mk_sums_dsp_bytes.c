/* SPDX-License-Identifier: Apache-2.0 */
/* Sums of 8-bit values: two in a register, so that one instruction adds two channels of a pixel. */
#include "mk_sums_dsp.h"

#if MK_DSP

static __attribute__((noinline)) void sum_blocks(const mk_sum_area *area, uint32_t blocks, const int32_t *from,
                                                 uint32_t from_step, int32_t *sums)
{
    const uint32_t step = area->step;
    const int8_t *first = area->first;
    for (const int32_t *const end = sums + 8 * blocks; sums != end; sums += 8, from += from_step, first += 8) {
        const int8_t *in = first;
        uint32_t even = 0, odd = 0, later_even = 0, later_odd = 0, rows = area->rows;
        do {
            uint32_t left = area->columns;
            do {
                const uint32_t word = mk_load_word(in), later = mk_load_word(in + 4);
                in += step;
                even = mk_add_even(even, word);
                odd = mk_add_odd(odd, word);
                later_even = mk_add_even(later_even, later);
                later_odd = mk_add_odd(later_odd, later);
            } while (--left != 0);
            in += area->gap;
        } while (--rows != 0);
        mk_sum_from(from, (int16_t)even, (int16_t)odd, (int32_t)even >> 16, (int32_t)odd >> 16, sums);
        mk_sum_from(from + 4, (int16_t)later_even, (int16_t)later_odd, (int32_t)later_even >> 16,
                    (int32_t)later_odd >> 16, sums + 4);
    }
}

void mk_sum_8_bits(const mk_map *map, mk_span rows, mk_span columns, int32_t start, int32_t *sums)
{
    /* 256 * -128 = -2^15. */
    const mk_sum_limits limits = {256, 256};
    mk_sum_map(map, rows, columns, 8, limits, sum_blocks, start, sums);
}

#endif
