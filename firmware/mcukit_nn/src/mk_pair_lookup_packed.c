/* SPDX-License-Identifier: Apache-2.0 */
#include "mk_pair_lookup_packed.h"

#include "mk_elementwise_packed.h"

void mk_pair_lookup_packed(const mk_pair_lookup_packed_params *params, const mk_map *a, const mk_map *b,
                           const mk_map *output, uint16_t first_row, uint16_t last_row, void *scratch)
{
    const int8_t *const table = params->table;
    const uint32_t channels = output->channels, bits_b = b->bits;
    int8_t *const values_a = scratch, *const values_b = values_a + channels;
    for (int32_t y = first_row; y < last_row; ++y) {
        mk_packed_operand row_a = mk_packed_operand_row(a, output, y), row_b = mk_packed_operand_row(b, output, y);
        int8_t *out = mk_row(output, y);
        for (uint32_t x = 0; x < output->columns; ++x, out += MK_PIXEL_BYTES(channels, output->bits)) {
            mk_next_stored(&row_a, channels, values_a);
            mk_next_stored(&row_b, channels, values_b);
            for (uint32_t c = 0; c < channels; ++c) {
                values_a[c] = table[((uint32_t)values_a[c] << bits_b) + (uint32_t)values_b[c]];
            }
            mk_pack(values_a, channels, output->bits, out);
        }
    }
}
