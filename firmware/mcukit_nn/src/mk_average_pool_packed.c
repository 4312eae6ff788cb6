/* SPDX-License-Identifier: Apache-2.0 */
/* Sums of stored values; the offset of all of them is taken off before the division. */
#include "mk_average_pool_packed.h"

#include <string.h>

#include "mk_packed.h"
#include "mk_span.h"

/* The means of `count` pixels from the sums of their stored values. They take the place of the sums, byte by byte. */
static const int8_t *divide(const mk_average_pool_packed_params *p, int32_t *sums, uint32_t channels, int32_t count,
                            uint32_t bits)
{
    int8_t *const means = (int8_t *)sums;
    const int32_t offset = count * mk_packed_offset(bits), minimum = p->minimum, maximum = p->maximum;
    for (uint32_t c = 0; c < channels; ++c) {
        const int32_t sum = sums[c] - offset;
        const int32_t half = sum > 0 ? count / 2 : -(count / 2);
        means[c] = (int8_t)mk_clamp((sum + half) / count, minimum, maximum);
    }
    return means;
}

void mk_average_pool_packed(const mk_average_pool_packed_params *params, const mk_map *input, const mk_map *output,
                            uint16_t first_row, uint16_t last_row, void *scratch)
{
    const mk_window *w = &params->window;
    const uint32_t channels = output->channels, bits = output->bits, step = MK_PIXEL_BYTES(channels, bits);
    int32_t *sums = scratch;
    for (int32_t y = first_row; y < last_row; ++y) {
        const int32_t top = y * w->stride_y - w->pad_top;
        const mk_span rows = mk_inside(top, w->kernel_height, input->height);
        int8_t *out = mk_row(output, y);
        for (uint32_t i = 0; i < output->columns; ++i, out += step) {
            const int32_t left = ((int32_t)i + output->first_column) * w->stride_x - w->pad_left;
            const mk_span columns = mk_inside(left, w->kernel_width, input->width);
            const int32_t width = columns.last - columns.first, count = (rows.last - rows.first) * width;
            memset(sums, 0, channels * sizeof *sums);
            for (int32_t row = rows.first; row < rows.last; ++row) {
                const int8_t *in = mk_row(input, row) + (uint32_t)(columns.first - input->first_column) * step;
                mk_add_stored(in, (uint32_t)width, channels, bits, sums);
            }
            mk_pack(divide(params, sums, channels, count, bits), channels, bits, out);
        }
    }
}
