/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MK_SOFTMAX_PACKED_H
#define MK_SOFTMAX_PACKED_H

#include "mk_softmax_s8.h"

typedef mk_softmax_s8_params mk_softmax_packed_params;

/* mk_softmax_s8 where the input has 4 or 2 bits. The output has 8 and is not in the input's place. */
void mk_softmax_packed(const mk_softmax_packed_params *params, const mk_map *input, const mk_map *output,
                       uint16_t first_row, uint16_t last_row);

#endif
