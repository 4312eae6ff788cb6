/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MK_CONCAT_PACKED_H
#define MK_CONCAT_PACKED_H

#include "mk_concat_s8.h"

/* mk_concat_s8 where all maps have 4 bits or all have 2. */
void mk_concat_packed(const mk_map *const *inputs, uint16_t count, const mk_map *output, uint16_t first_row,
                      uint16_t last_row);

#endif
