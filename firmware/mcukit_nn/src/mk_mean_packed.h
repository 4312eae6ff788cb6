/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MK_MEAN_PACKED_H
#define MK_MEAN_PACKED_H

#include "mk_mean_s8.h"

typedef mk_mean_s8_params mk_mean_packed_params;

/*
 * mk_mean_s8 where a map has 4 or 2 bits.
 * scratch: one int32_t for each channel.
 */
void mk_mean_packed(const mk_mean_packed_params *params, const mk_map *input, const mk_map *output, uint16_t first_row,
                    uint16_t last_row, void *scratch);

#endif
