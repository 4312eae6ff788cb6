/* SPDX-License-Identifier: Apache-2.0 */
/* Portable average pooling: sums of all channels in scratch, pixel by pixel of the window, then one division each. */
#include "mk_average_pool_s8.h"

#include <string.h>

#include "mk_span.h"

/* Adds `pixels` pixels that follow each other to the sums of their channels. */
static void add_pixels(const int8_t *in, uint32_t pixels, uint32_t channels, int32_t *sums)
{
    for (; pixels > 0; --pixels) {
        for (uint32_t c = 0; c < channels; ++c) {
            sums[c] += *in++;
        }
    }
}

void mk_average_pool_s8(const mk_average_pool_s8_params *params, const mk_map *input, const mk_map *output,
                        uint16_t first_row, uint16_t last_row, void *scratch)
{
    const mk_window *w = &params->window;
    const uint32_t channels = output->channels;
    int32_t *sums = scratch;
    for (int32_t y = first_row; y < last_row; ++y) {
        const int32_t top = y * w->stride_y - w->pad_top;
        const mk_span rows = mk_inside(top, w->kernel_height, input->height);
        int8_t *out = mk_row(output, y);
        for (uint32_t i = 0; i < output->columns; ++i, out += channels) {
            const int32_t left = ((int32_t)i + output->first_column) * w->stride_x - w->pad_left;
            const mk_span columns = mk_inside(left, w->kernel_width, input->width);
            const int32_t width = columns.last - columns.first, count = (rows.last - rows.first) * width;
            memset(sums, 0, channels * sizeof *sums);
            for (int32_t row = rows.first; row < rows.last; ++row) {
                const int8_t *in = mk_row(input, row) + (uint32_t)(columns.first - input->first_column) * channels;
                add_pixels(in, (uint32_t)width, channels, sums);
            }
            for (uint32_t c = 0; c < channels; ++c) {
                const int32_t half = sums[c] > 0 ? count / 2 : -(count / 2);
                out[c] = (int8_t)mk_clamp((sums[c] + half) / count, params->minimum, params->maximum);
            }
        }
    }
}
