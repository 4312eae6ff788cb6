/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sums of values of 4 and 2 bits: fields that lie alike in their bytes are added all at once, four sums in a
 * register.
 */
#include "mk_sums_dsp.h"

#if MK_DSP

/* A byte holds the sum of so many values: 17 * 15 = 85 * 3 = 255. */
#define IN_BYTE_OF_4_BITS 17
#define IN_BYTE_OF_2_BITS 85

/* Eight sums in the bytes of two registers, every second one in `even`, each plus what it begins from. */
static inline void move_bytes(const int32_t *from, uint32_t even, uint32_t odd, int32_t *sums)
{
    const int32_t a = from[0], b = from[1], c = from[2], d = from[3];
    sums[0] = a + (uint8_t)even;
    sums[1] = b + (uint8_t)odd;
    sums[2] = (int32_t)mk_add_byte_1((uint32_t)c, even);
    sums[3] = (int32_t)mk_add_byte_1((uint32_t)d, odd);
    const int32_t e = from[4], f = from[5], g = from[6], h = from[7];
    sums[4] = (int32_t)mk_add_byte_2((uint32_t)e, even);
    sums[5] = (int32_t)mk_add_byte_2((uint32_t)f, odd);
    sums[6] = g + (int32_t)(even >> 24);
    sums[7] = h + (int32_t)(odd >> 24);
}

/* Blocks of 4 bits in areas of no more pixels than IN_BYTE_OF_4_BITS. */
static __attribute__((noinline)) void sum_small(const mk_sum_area *area, uint32_t blocks, const int32_t *from,
                                                uint32_t from_step, int32_t *sums)
{
    const uint32_t step = area->step, lower = mk_in_register(0x0F0F0F0Fu);
    const int8_t *first = area->first;
    for (const int32_t *const end = sums + 8 * blocks; sums != end; sums += 8, from += from_step, first += 4) {
        const int8_t *in = first;
        uint32_t even = 0, odd = 0, rows = area->rows;
        do {
            uint32_t left = area->columns;
            do {
                const uint32_t word = mk_load_word(in);
                in += step;
                even += word & lower;
                odd += word >> 4 & lower;
            } while (--left != 0);
            in += area->gap;
        } while (--rows != 0);
        move_bytes(from, even, odd, sums);
    }
}

/* The same of more pixels: after each row sums are moved from bytes to halves. */
static __attribute__((noinline)) void sum_large(const mk_sum_area *area, uint32_t blocks, const int32_t *from,
                                                uint32_t from_step, int32_t *sums)
{
    const uint32_t step = area->step, lower = mk_in_register(0x0F0F0F0Fu);
    const int8_t *first = area->first;
    for (const int32_t *const end = sums + 8 * blocks; sums != end; sums += 8, from += from_step, first += 4) {
        const int8_t *in = first;
        uint32_t sums_0_4 = 0, sums_1_5 = 0, sums_2_6 = 0, sums_3_7 = 0, rows = area->rows;
        do {
            uint32_t even = 0, odd = 0, left = area->columns;
            do {
                const uint32_t word = mk_load_word(in);
                in += step;
                even += word & lower;
                odd += word >> 4 & lower;
            } while (--left != 0);
            in += area->gap;
            sums_0_4 = mk_add_unsigned_even(sums_0_4, even);
            sums_1_5 = mk_add_unsigned_even(sums_1_5, odd);
            sums_2_6 = mk_add_unsigned_odd(sums_2_6, even);
            sums_3_7 = mk_add_unsigned_odd(sums_3_7, odd);
        } while (--rows != 0);
        mk_sum_from(from, (uint16_t)sums_0_4, (uint16_t)sums_1_5, (uint16_t)sums_2_6, (uint16_t)sums_3_7, sums);
        mk_sum_from(from + 4, (int32_t)(sums_0_4 >> 16), (int32_t)(sums_1_5 >> 16), (int32_t)(sums_2_6 >> 16),
                    (int32_t)(sums_3_7 >> 16), sums + 4);
    }
}

static void sum_blocks_of_4_bits(const mk_sum_area *area, uint32_t blocks, const int32_t *from,
                                 uint32_t from_step, int32_t *sums)
{
    if (area->rows * area->columns <= IN_BYTE_OF_4_BITS) {
        sum_small(area, blocks, from, from_step, sums);
    } else {
        sum_large(area, blocks, from, from_step, sums);
    }
}

static __attribute__((noinline)) void sum_blocks_of_2_bits(const mk_sum_area *area, uint32_t blocks,
                                                           const int32_t *from, uint32_t from_step, int32_t *sums)
{
    const uint32_t step = area->step, lower = mk_in_register(0x03030303u);
    const int8_t *block = area->first;
    for (; blocks != 0; --blocks, from += from_step, block += 4) {
        const int8_t *in = block;
        uint32_t first = 0, second = 0, third = 0, fourth = 0, rows = area->rows;
        do {
            uint32_t left = area->columns;
            do {
                const uint32_t word = mk_load_word(in);
                in += step;
                first += word & lower;
                second += word >> 2 & lower;
                third += word >> 4 & lower;
                fourth += word >> 6 & lower;
            } while (--left != 0);
            in += area->gap;
        } while (--rows != 0);
        for (uint32_t i = 0; i < 16; i += 4, sums += 4) {
            mk_sum_from(from + i, (uint8_t)first, (uint8_t)second, (uint8_t)third, (uint8_t)fourth, sums);
            first >>= 8;
            second >>= 8;
            third >>= 8;
            fourth >>= 8;
        }
    }
}

void mk_sum_4_bits(const mk_map *map, mk_span rows, mk_span columns, int32_t start, int32_t *sums)
{
    /* 4096 * 15 < 2^16. */
    const mk_sum_limits limits = {IN_BYTE_OF_4_BITS, 4096};
    mk_sum_map(map, rows, columns, 4, limits, sum_blocks_of_4_bits, start, sums);
}

void mk_sum_2_bits(const mk_map *map, mk_span rows, mk_span columns, int32_t start, int32_t *sums)
{
    const mk_sum_limits limits = {IN_BYTE_OF_2_BITS, IN_BYTE_OF_2_BITS};
    mk_sum_map(map, rows, columns, 2, limits, sum_blocks_of_2_bits, start, sums);
}

#endif
