/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MK_AVERAGE_POOL_PACKED_H
#define MK_AVERAGE_POOL_PACKED_H

#include "mk_average_pool_s8.h"

typedef mk_average_pool_s8_params mk_average_pool_packed_params;

/*
 * mk_average_pool_s8 where both maps have 4 bits or both have 2.
 * scratch: one int32_t for each channel.
 */
void mk_average_pool_packed(const mk_average_pool_packed_params *params, const mk_map *input, const mk_map *output,
                            uint16_t first_row, uint16_t last_row, void *scratch);

#endif
