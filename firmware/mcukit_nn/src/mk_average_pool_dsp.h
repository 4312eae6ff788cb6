/* SPDX-License-Identifier: Apache-2.0 */
/* What the DSP kernels of average pooling share. Not part of the public interface. */
#ifndef MK_AVERAGE_POOL_DSP_H
#define MK_AVERAGE_POOL_DSP_H

#include "mk_average_pool_s8.h"
#include "mk_sums_dsp.h"

#if MK_DSP

/*
 * What one divides by `count` with, at most 1024: 2^30 / count, rounded up. mk_divided_sum takes sums of bytes, at
 * most 128 * count, so that 4 * sum * factor / 2^32 is too large by less than 2^-13, and quotients that are no halves
 * lie at least 1 / (2 * count) away from those.
 */
static inline uint32_t mk_average_factor(uint32_t count)
{
    return (((uint32_t)1 << 30) + count - 1) / count;
}

/*
 * round(sum / count), halves away from zero: the multiplication rounds them up, and negative sums are a quarter less,
 * which nothing but halves feels.
 */
static inline int32_t mk_divided_sum(int32_t sum, uint32_t factor)
{
    return mk_multiply_high_rounded(4 * sum + (sum >> 31), factor, 0);
}

/* The means of a pixel from the sums of its channels. */
typedef void mk_average_pixel(int32_t *sums, uint32_t channels, uint32_t factor, int8_t *out);

/*
 * A row of the output without the activation's limits. `offset` is taken off each value as it is stored.
 */
static inline void mk_average_pool_row(const mk_window *w, const mk_map *input, const mk_map *output, int32_t y,
                                       uint32_t bits, int32_t offset, mk_sum_stored *sum, mk_average_pixel *average,
                                       int32_t *sums)
{
    const uint32_t channels = output->channels, step = MK_PIXEL_BYTES(channels, bits);
    const mk_span rows = mk_inside(y * w->stride_y - w->pad_top, w->kernel_height, input->height);
    int8_t *out = mk_row(output, y);
    int32_t left = (int32_t)output->first_column * w->stride_x - w->pad_left;
    for (uint32_t i = output->columns; i != 0; --i, out += step, left += w->stride_x) {
        const mk_span columns = mk_inside(left, w->kernel_width, input->width);
        const int32_t count = (rows.last - rows.first) * (columns.last - columns.first);
        sum(input, rows, columns, -count * offset, sums);
        average(sums, channels, mk_average_factor((uint32_t)count), out);
    }
}

#endif

#endif
