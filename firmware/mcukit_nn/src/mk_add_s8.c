/* SPDX-License-Identifier: Apache-2.0 */
#include "mk_add_s8.h"

void mk_add_s8(const mk_add_s8_params *params, const mk_map *a, const mk_map *b, const mk_map *output,
               uint16_t first_row, uint16_t last_row)
{
    mk_sum_rows_s8(params, a, b, output, first_row, last_row, 1);
}
