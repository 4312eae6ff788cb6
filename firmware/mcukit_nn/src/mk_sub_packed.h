/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MK_SUB_PACKED_H
#define MK_SUB_PACKED_H

#include "mk_sub_s8.h"

typedef mk_sub_s8_params mk_sub_packed_params;

/*
 * mk_sub_s8 where a map has 4 or 2 bits. May run in place of an operand of the output's shape whose pixels have as many
 * bytes.
 * scratch: two bytes for each channel of the output.
 */
void mk_sub_packed(const mk_sub_packed_params *params, const mk_map *a, const mk_map *b, const mk_map *output,
                   uint16_t first_row, uint16_t last_row, void *scratch);

#endif
