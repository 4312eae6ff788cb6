/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MK_LOOKUP_S8_H
#define MK_LOOKUP_S8_H

#include "mk_common.h"

typedef struct mk_lookup_s8_params {
    const int8_t *table; /* 256 outputs: [input + 128] */
} mk_lookup_s8_params;

/* Any function of single values, rows [first_row, last_row) of the output; may run in place. */
void mk_lookup_s8(const mk_lookup_s8_params *params, const mk_map *input, const mk_map *output, uint16_t first_row,
                  uint16_t last_row);

#endif
