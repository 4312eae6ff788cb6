/* SPDX-License-Identifier: Apache-2.0 */
/* Portable padding: the border's value everywhere in a row, then the pixels of the input that belong there. */
#include "mk_pad_s8.h"

#include <string.h>

#include "mk_span.h"

/* Columns [first, last) of one row of the input, each pixel to where it belongs in the output. */
static void copy_pixels(const mk_pad_s8_params *p, const mk_map *input, const mk_map *output, int32_t input_y,
                        mk_span columns, int8_t *row)
{
    const uint32_t channels = input->channels;
    const int8_t *in = mk_row(input, input_y) + (uint32_t)(columns.first - input->first_column) * channels;
    const uint32_t column = (uint32_t)(columns.first + p->left - output->first_column);
    int8_t *out = row + column * output->channels + p->first_channel;
    if (channels == output->channels) {
        memcpy(out, in, (uint32_t)(columns.last - columns.first) * channels);
        return;
    }
    for (int32_t x = columns.first; x < columns.last; ++x, in += channels, out += output->channels) {
        memcpy(out, in, channels);
    }
}

void mk_pad_s8(const mk_pad_s8_params *params, const mk_map *input, const mk_map *output, uint16_t first_row,
               uint16_t last_row)
{
    const mk_span columns = mk_inside((int32_t)output->first_column - params->left, output->columns, input->width);
    for (int32_t y = first_row; y < last_row; ++y) {
        int8_t *row = mk_row(output, y);
        memset(row, params->value, (size_t)output->columns * output->channels);
        if (mk_has_row(input, y - params->top) && columns.first < columns.last) {
            copy_pixels(params, input, output, y - params->top, columns, row);
        }
    }
}
