/* SPDX-License-Identifier: Apache-2.0 */
/* Portable resizing: pixels are copied as two tables say. */
#include "mk_resize_nearest_s8.h"

#include <string.h>

void mk_resize_nearest_s8(const mk_resize_nearest_s8_params *params, const mk_map *input, const mk_map *output,
                          uint16_t first_row, uint16_t last_row)
{
    const uint32_t channels = output->channels;
    for (int32_t y = first_row; y < last_row; ++y) {
        const int8_t *in = mk_row(input, params->rows[y]);
        int8_t *out = mk_row(output, y);
        for (uint32_t i = 0; i < output->columns; ++i, out += channels) {
            const uint32_t column = (uint32_t)params->columns[output->first_column + i] - input->first_column;
            memcpy(out, in + column * channels, channels);
        }
    }
}
