/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MK_LOOKUP_PACKED_H
#define MK_LOOKUP_PACKED_H

#include "mk_lookup_s8.h"

typedef mk_lookup_s8_params mk_lookup_packed_params;

/*
 * mk_lookup_s8 where a map has 4 or 2 bits; may run in place of an input whose pixels have as many bytes.
 * scratch: one byte for each channel.
 */
void mk_lookup_packed(const mk_lookup_packed_params *params, const mk_map *input, const mk_map *output,
                      uint16_t first_row, uint16_t last_row, void *scratch);

#endif
