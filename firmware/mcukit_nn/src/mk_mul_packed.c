/* SPDX-License-Identifier: Apache-2.0 */
#include "mk_mul_packed.h"

#include "mk_elementwise_packed.h"

void mk_mul_packed(const mk_mul_packed_params *params, const mk_map *a, const mk_map *b, const mk_map *output,
                   uint16_t first_row, uint16_t last_row, void *scratch)
{
    const uint32_t channels = output->channels;
    int8_t *const values_a = scratch, *const values_b = values_a + channels;
    for (int32_t y = first_row; y < last_row; ++y) {
        mk_packed_operand row_a = mk_packed_operand_row(a, output, y), row_b = mk_packed_operand_row(b, output, y);
        int8_t *out = mk_row(output, y);
        for (uint32_t x = 0; x < output->columns; ++x, out += MK_PIXEL_BYTES(channels, output->bits)) {
            mk_next_values(&row_a, channels, values_a);
            mk_next_values(&row_b, channels, values_b);
            for (uint32_t c = 0; c < channels; ++c) {
                values_a[c] = mk_product_s8(params, values_a[c], values_b[c]);
            }
            mk_pack(values_a, channels, output->bits, out);
        }
    }
}
