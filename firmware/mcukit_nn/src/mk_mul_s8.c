/* SPDX-License-Identifier: Apache-2.0 */
#include "mk_mul_s8.h"

void mk_mul_s8(const mk_mul_s8_params *params, const mk_map *a, const mk_map *b, const mk_map *output,
               uint16_t first_row, uint16_t last_row)
{
    /* Without broadcasting a row is a single pixel with many channels. */
    const bool is_flat = mk_is_full(a, output) && mk_is_full(b, output);
    const uint32_t pixels = is_flat ? 1 : output->columns;
    const uint32_t channels = is_flat ? (uint32_t)output->columns * output->channels : output->channels;
    for (int32_t y = first_row; y < last_row; ++y) {
        mk_operand row_a = mk_operand_row(a, output, y), row_b = mk_operand_row(b, output, y);
        int8_t *out = mk_row(output, y);
        for (uint32_t x = 0; x < pixels; ++x) {
            const int8_t *va = row_a.data, *vb = row_b.data;
            for (uint32_t c = 0; c < channels; ++c, va += row_a.channel_step, vb += row_b.channel_step) {
                *out++ = mk_product_s8(params, *va, *vb);
            }
            row_a.data += row_a.pixel_step;
            row_b.data += row_b.pixel_step;
        }
    }
}
