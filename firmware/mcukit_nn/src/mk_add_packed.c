/* SPDX-License-Identifier: Apache-2.0 */
#include "mk_add_packed.h"

#include "mk_elementwise_packed.h"

void mk_add_packed(const mk_add_packed_params *params, const mk_map *a, const mk_map *b, const mk_map *output,
                   uint16_t first_row, uint16_t last_row, void *scratch)
{
    mk_sum_rows_packed(params, a, b, output, first_row, last_row, scratch, 1);
}
