/* SPDX-License-Identifier: Apache-2.0 */
/* Functions of single values: sigmoid, hard swish and their kin, as tables that the model's compiler has computed. */
#include "mk_lookup_s8.h"

void mk_lookup_s8(const mk_lookup_s8_params *params, const mk_map *input, const mk_map *output, uint16_t first_row,
                  uint16_t last_row)
{
    const int8_t *const middle = params->table + 128;
    const int32_t skipped = ((int32_t)output->first_column - input->first_column) * input->channels;
    const uint32_t count = (uint32_t)output->columns * output->channels;
    for (int32_t y = first_row; y < last_row; ++y) {
        const int8_t *in = mk_row(input, y) + skipped;
        int8_t *out = mk_row(output, y);
        for (uint32_t i = 0; i < count; ++i) {
            out[i] = middle[in[i]];
        }
    }
}
