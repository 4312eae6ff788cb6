/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MK_RESIZE_NEAREST_PACKED_H
#define MK_RESIZE_NEAREST_PACKED_H

#include "mk_resize_nearest_s8.h"

typedef mk_resize_nearest_s8_params mk_resize_nearest_packed_params;

/* mk_resize_nearest_s8 where both maps have 4 bits or both have 2. */
void mk_resize_nearest_packed(const mk_resize_nearest_packed_params *params, const mk_map *input, const mk_map *output,
                              uint16_t first_row, uint16_t last_row);

#endif
