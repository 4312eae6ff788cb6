/* SPDX-License-Identifier: Apache-2.0 */
/* Portable max pooling: the output pixel itself holds the maximum so far, pixel by pixel of the window. */
#include "mk_max_pool_s8.h"

#include <string.h>

#include "mk_span.h"

/* Raises `out` to the maximum of itself and each of `pixels` pixels that follow each other. */
static void raise_to(const int8_t *in, uint32_t pixels, uint32_t channels, int8_t *out)
{
    for (; pixels > 0; --pixels) {
        for (uint32_t c = 0; c < channels; ++c) {
            const int8_t value = *in++;
            if (value > out[c]) {
                out[c] = value;
            }
        }
    }
}

void mk_max_pool_s8(const mk_max_pool_s8_params *params, const mk_map *input, const mk_map *output, uint16_t first_row,
                    uint16_t last_row)
{
    const mk_window *w = &params->window;
    const uint32_t channels = output->channels;
    for (int32_t y = first_row; y < last_row; ++y) {
        const int32_t top = y * w->stride_y - w->pad_top;
        const mk_span rows = mk_inside(top, w->kernel_height, input->height);
        int8_t *out = mk_row(output, y);
        for (uint32_t i = 0; i < output->columns; ++i, out += channels) {
            const int32_t left = ((int32_t)i + output->first_column) * w->stride_x - w->pad_left;
            const mk_span columns = mk_inside(left, w->kernel_width, input->width);
            memset(out, params->minimum, channels);
            for (int32_t row = rows.first; row < rows.last; ++row) {
                const int8_t *in = mk_row(input, row) + (uint32_t)(columns.first - input->first_column) * channels;
                raise_to(in, (uint32_t)(columns.last - columns.first), channels, out);
            }
            for (uint32_t c = 0; c < channels; ++c) {
                out[c] = out[c] > params->maximum ? (int8_t)params->maximum : out[c];
            }
        }
    }
}
