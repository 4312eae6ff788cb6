/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MK_CONCAT_S8_H
#define MK_CONCAT_S8_H

#include "mk_common.h"

/* Rows [first_row, last_row) of the output: the channels of all `count` inputs side by side. */
void mk_concat_s8(const mk_map *const *inputs, uint16_t count, const mk_map *output, uint16_t first_row,
                  uint16_t last_row);

#endif
