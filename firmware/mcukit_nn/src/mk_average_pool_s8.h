/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MK_AVERAGE_POOL_S8_H
#define MK_AVERAGE_POOL_S8_H

#include "mk_common.h"

typedef struct mk_average_pool_s8_params {
    mk_window window; /* without dilation; each window holds at least one pixel of the map */
    int16_t minimum, maximum;
} mk_average_pool_s8_params;

/*
 * The mean of each window in rows [first_row, last_row) of the output, halves away from zero; padding doesn't count.
 * scratch: one int32_t for each channel.
 */
void mk_average_pool_s8(const mk_average_pool_s8_params *params, const mk_map *input, const mk_map *output,
                        uint16_t first_row, uint16_t last_row, void *scratch);

#endif
