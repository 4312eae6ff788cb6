/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MK_PAD_PACKED_H
#define MK_PAD_PACKED_H

#include "mk_pad_s8.h"

typedef mk_pad_s8_params mk_pad_packed_params;

/*
 * mk_pad_s8 where both maps have 4 bits or both have 2.
 * scratch: one byte for each channel of the output where it has more of them than the input; else none.
 */
void mk_pad_packed(const mk_pad_packed_params *params, const mk_map *input, const mk_map *output, uint16_t first_row,
                   uint16_t last_row, void *scratch);

#endif
