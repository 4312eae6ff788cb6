/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sums over pixels for the DSP kernels that average: blocks of channels, whose sums stay in registers from pixel to
 * pixel. Not part of the public interface.
 */
#ifndef MK_SUMS_DSP_H
#define MK_SUMS_DSP_H

#include "mk_dsp.h"
#include "mk_packed.h"
#include "mk_span.h"

#if MK_DSP

/* Channels that are summed together. */
#define MK_SUM_BLOCK_OF_2_BITS 16
#define MK_SUM_BLOCK 8

/*
 * Pixels to sum, from the first byte of a block of channels on. step: bytes from one pixel to the next; gap: bytes
 * more, from the end of a row on. Not so many pixels that a sum outgrows its part of a register.
 */
typedef struct mk_sum_area {
    const int8_t *first;
    uint32_t columns, rows, step, gap;
} mk_sum_area;

/*
 * Writes the sums of the channels of `blocks` blocks that follow each other, and adds from[i * step + c] to that of
 * channel c of block i. step is 0 where all blocks begin from the same, or the channels of a block: then `from` may
 * be `sums`. Not to be inlined: among the variables of the walk over a map its loop lacks registers.
 */
typedef void mk_sum_blocks(const mk_sum_area *area, uint32_t blocks, const int32_t *from, uint32_t step, int32_t *sums);

/*
 * Sums of the values of a part of a map, as they are stored, each plus `start`. Pixels have at least 4 bytes, of 8
 * bits at least 8.
 */
typedef void mk_sum_stored(const mk_map *map, mk_span rows, mk_span columns, int32_t start, int32_t *sums);

void mk_sum_8_bits(const mk_map *map, mk_span rows, mk_span columns, int32_t start, int32_t *sums);
void mk_sum_4_bits(const mk_map *map, mk_span rows, mk_span columns, int32_t start, int32_t *sums);
void mk_sum_2_bits(const mk_map *map, mk_span rows, mk_span columns, int32_t start, int32_t *sums);

/* Four sums, each plus what it begins from. All are read before one is written, two at a time. */
static inline void mk_sum_from(const int32_t *from, int32_t a, int32_t b, int32_t c, int32_t d, int32_t *sums)
{
    const int32_t first = from[0], second = from[1], third = from[2], fourth = from[3];
    sums[0] = first + a;
    sums[1] = second + b;
    sums[2] = third + c;
    sums[3] = fourth + d;
}

/* All channels of an area. bits is a constant, as `sum` is. */
static __attribute__((noinline)) void mk_sum_channels(mk_sum_area *area, uint32_t channels, uint32_t bits,
                                                      mk_sum_blocks *sum, const int32_t *from, uint32_t step,
                                                      int32_t *sums)
{
    const uint32_t bytes = bits == 8 ? 8 : 4, block = bytes * 8 / bits, left = channels % block;
    const uint32_t blocks = channels / block, last = area->step - bytes;
    if (blocks != 0) {
        sum(area, blocks, from, step, sums);
    }
    if (left != 0) {
        /* The last block overlaps the one before it; what is new there is added. */
        int32_t values[MK_SUM_BLOCK_OF_2_BITS] = {0};
        const int32_t *const found = values + blocks * block - last * 8 / bits;
        area->first += last;
        sum(area, 1, values, 0, values);
        sums += blocks * block;
        from += blocks * step;
        for (uint32_t i = 0; i < left; ++i) {
            sums[i] = from[i] + found[i];
        }
    }
}

/* Pixels that a row of an area has at most, and the whole area. */
typedef struct mk_sum_limits {
    uint32_t row, area;
} mk_sum_limits;

static inline uint32_t mk_smaller(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/*
 * An mk_sum_stored, area by area. Rows of an area follow each other in the map's ring. bits is a constant, as `sum`
 * is.
 */
static inline void mk_sum_map(const mk_map *map, mk_span rows, mk_span columns, uint32_t bits, mk_sum_limits limits,
                              mk_sum_blocks *sum, int32_t start, int32_t *sums)
{
    const uint32_t channels = map->channels, step = MK_PIXEL_BYTES(channels, bits);
    const uint32_t block = bits == 2 ? MK_SUM_BLOCK_OF_2_BITS : MK_SUM_BLOCK;
    int32_t starts[MK_SUM_BLOCK_OF_2_BITS];
    const int32_t *from = starts;
    uint32_t from_step = 0;
    for (uint32_t i = 0; i < block; ++i) {
        starts[i] = start;
    }
    const uint32_t first = (uint32_t)(columns.first - map->first_column) * step;
    uint32_t width = (uint32_t)(columns.last - columns.first), height = (uint32_t)(rows.last - rows.first);
    if (width * step == map->row_bytes && (uint32_t)rows.first % map->ring + height <= map->ring) {
        /* Nothing lies between the pixels of a row and those of the next. */
        const int8_t *in = mk_row(map, rows.first) + first;
        for (uint32_t pixels = width * height; pixels != 0; pixels -= width * height, in += width * height * step) {
            /* Rows are of equal length as far as possible, so that little is left over. */
            const uint32_t most = mk_smaller(pixels, limits.area);
            width = most <= limits.row ? most : most / ((most + limits.row - 1) / limits.row);
            height = most / width;
            mk_sum_area area = {in, width, height, step, 0};
            mk_sum_channels(&area, channels, bits, sum, from, from_step, sums);
            from = sums;
            from_step = block;
        }
        return;
    }
    for (uint32_t column = 0, all = width; column != all; column += width) {
        width = mk_smaller(all - column, limits.row);
        for (int32_t row = rows.first; row != rows.last; row += (int32_t)height) {
            height = mk_smaller((uint32_t)(rows.last - row), map->ring - (uint32_t)row % map->ring);
            height = mk_smaller(height, limits.area / width);
            const int8_t *const in = mk_row(map, row) + first + column * step;
            mk_sum_area area = {in, width, height, step, map->row_bytes - width * step};
            mk_sum_channels(&area, channels, bits, sum, from, from_step, sums);
            from = sums;
            from_step = block;
        }
    }
}

#endif

#endif
