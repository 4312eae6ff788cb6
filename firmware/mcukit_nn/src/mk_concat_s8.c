/* SPDX-License-Identifier: Apache-2.0 */
/* Portable concatenation: each input in turn is spread over the pixels of the output. */
#include "mk_concat_s8.h"

#include <string.h>

void mk_concat_s8(const mk_map *const *inputs, uint16_t count, const mk_map *output, uint16_t first_row,
                  uint16_t last_row)
{
    for (int32_t y = first_row; y < last_row; ++y) {
        int8_t *first_channel = mk_row(output, y);
        for (uint32_t i = 0; i < count; ++i) {
            const uint32_t channels = inputs[i]->channels;
            const uint32_t column = (uint32_t)output->first_column - inputs[i]->first_column;
            const int8_t *in = mk_row(inputs[i], y) + column * channels;
            int8_t *out = first_channel;
            for (uint32_t x = 0; x < output->columns; ++x, in += channels, out += output->channels) {
                memcpy(out, in, channels);
            }
            first_channel += channels;
        }
    }
}
