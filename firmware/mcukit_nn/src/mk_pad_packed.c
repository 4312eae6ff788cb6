/* SPDX-License-Identifier: Apache-2.0 */
/* As mk_pad_s8 does: the border's value everywhere in a row, then the pixels of the input that belong there. */
#include "mk_pad_packed.h"

#include <string.h>

#include "mk_packed.h"
#include "mk_span.h"

/* Every pixel of a row of the output as one of the border. */
static void fill(const mk_pad_packed_params *p, const mk_map *output, int8_t *row)
{
    const uint32_t step = MK_PIXEL_BYTES(output->channels, output->bits);
    const uint32_t byte = mk_packed_pattern(p->value, output->bits) & 0xFF;
    const uint32_t last = byte & mk_last_byte_mask(output->channels, output->bits);
    memset(row, (int)byte, (size_t)output->columns * step);
    if (last != byte) {
        for (uint32_t x = 1; x <= output->columns; ++x) {
            row[x * step - 1] = (int8_t)last;
        }
    }
}

/* Columns [first, last) of one row of the input, each pixel to where it belongs in the output. */
static void copy_pixels(const mk_pad_packed_params *p, const mk_map *input, const mk_map *output, int32_t input_y,
                        mk_span columns, int8_t *row, int8_t *values)
{
    const uint32_t input_step = MK_PIXEL_BYTES(input->channels, input->bits);
    const uint32_t output_step = MK_PIXEL_BYTES(output->channels, output->bits);
    const int8_t *in = mk_row(input, input_y) + (uint32_t)(columns.first - input->first_column) * input_step;
    int8_t *out = row + (uint32_t)(columns.first + p->left - output->first_column) * output_step;
    if (input->channels == output->channels) {
        memcpy(out, in, (uint32_t)(columns.last - columns.first) * input_step);
        return;
    }
    memset(values, p->value, output->channels);
    for (int32_t x = columns.first; x < columns.last; ++x, in += input_step, out += output_step) {
        mk_unpack(in, input->channels, input->bits, values + p->first_channel);
        mk_pack(values, output->channels, output->bits, out);
    }
}

void mk_pad_packed(const mk_pad_packed_params *params, const mk_map *input, const mk_map *output, uint16_t first_row,
                   uint16_t last_row, void *scratch)
{
    const mk_span columns = mk_inside((int32_t)output->first_column - params->left, output->columns, input->width);
    for (int32_t y = first_row; y < last_row; ++y) {
        int8_t *row = mk_row(output, y);
        fill(params, output, row);
        if (mk_has_row(input, y - params->top) && columns.first < columns.last) {
            copy_pixels(params, input, output, y - params->top, columns, row, scratch);
        }
    }
}
