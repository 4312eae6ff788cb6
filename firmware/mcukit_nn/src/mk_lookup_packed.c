/* SPDX-License-Identifier: Apache-2.0 */
#include "mk_lookup_packed.h"

#include "mk_packed.h"

void mk_lookup_packed(const mk_lookup_packed_params *params, const mk_map *input, const mk_map *output,
                      uint16_t first_row, uint16_t last_row, void *scratch)
{
    const int8_t *const zero = params->table + 128;
    const uint32_t channels = output->channels;
    const uint32_t input_step = MK_PIXEL_BYTES(channels, input->bits);
    const uint32_t output_step = MK_PIXEL_BYTES(channels, output->bits);
    int8_t *const values = scratch;
    for (int32_t y = first_row; y < last_row; ++y) {
        const int8_t *in = mk_row(input, y) + (uint32_t)(output->first_column - input->first_column) * input_step;
        int8_t *out = mk_row(output, y);
        for (uint32_t x = 0; x < output->columns; ++x, in += input_step, out += output_step) {
            mk_unpack(in, channels, input->bits, values);
            for (uint32_t c = 0; c < channels; ++c) {
                values[c] = zero[values[c]];
            }
            mk_pack(values, channels, output->bits, out);
        }
    }
}
