/* SPDX-License-Identifier: Apache-2.0 */
/* A row is unpacked to where its results belong, and mk_softmax_s8 runs in place. */
#include "mk_softmax_packed.h"

#include "mk_packed.h"

void mk_softmax_packed(const mk_softmax_packed_params *params, const mk_map *input, const mk_map *output,
                       uint16_t first_row, uint16_t last_row)
{
    const uint32_t channels = output->channels, step = MK_PIXEL_BYTES(channels, input->bits);
    for (uint16_t y = first_row; y < last_row; ++y) {
        const int8_t *in = mk_row(input, y) + (uint32_t)(output->first_column - input->first_column) * step;
        int8_t *out = mk_row(output, y);
        for (uint32_t x = 0; x < output->columns; ++x, in += step, out += channels) {
            mk_unpack(in, channels, input->bits, out);
        }
        mk_softmax_s8(params, output, output, y, (uint16_t)(y + 1));
    }
}
