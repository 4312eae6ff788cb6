/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MK_PAIR_LOOKUP_PACKED_H
#define MK_PAIR_LOOKUP_PACKED_H

#include "mk_common.h"

typedef struct mk_pair_lookup_packed_params {
    const int8_t *table; /* [a][b] for all values that a and b can have, as they are stored */
} mk_pair_lookup_packed_params;

/*
 * Any function of two operands of 4 or 2 bits each, rows [first_row, last_row) of the output. A dimension of 1 in an
 * operand broadcasts. May run in place of an operand of the output's shape whose pixels have as many bytes.
 * scratch: two bytes for each channel of the output.
 */
void mk_pair_lookup_packed(const mk_pair_lookup_packed_params *params, const mk_map *a, const mk_map *b,
                           const mk_map *output, uint16_t first_row, uint16_t last_row, void *scratch);

#endif
