/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MK_CONCAT_S8_H
#define MK_CONCAT_S8_H

#include "mk_common.h"

typedef struct mk_concat_s8_params {
    uint16_t input_count;
} mk_concat_s8_params;

/* Rows [first_row, last_row) of the output: the channels of all inputs side by side. */
void mk_concat_s8(const mk_concat_s8_params *params, const mk_map *const *inputs, const mk_map *output,
                  uint16_t first_row, uint16_t last_row);

#endif
