/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MK_MAX_POOL_PACKED_H
#define MK_MAX_POOL_PACKED_H

#include "mk_max_pool_s8.h"

typedef mk_max_pool_s8_params mk_max_pool_packed_params;

/* mk_max_pool_s8 where both maps have 4 bits or both have 2. */
void mk_max_pool_packed(const mk_max_pool_packed_params *params, const mk_map *input, const mk_map *output,
                        uint16_t first_row, uint16_t last_row);

#endif
