/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MK_MAX_POOL_S8_H
#define MK_MAX_POOL_S8_H

#include "mk_common.h"

typedef struct mk_max_pool_s8_params {
    mk_window window; /* without dilation */
    int16_t minimum, maximum;
} mk_max_pool_s8_params;

/* The largest value of each window in rows [first_row, last_row) of the output; padding is smaller than any. */
void mk_max_pool_s8(const mk_max_pool_s8_params *params, const mk_map *input, const mk_map *output, uint16_t first_row,
                    uint16_t last_row);

#endif
