/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MK_SOFTMAX_S8_H
#define MK_SOFTMAX_S8_H

#include "mk_common.h"

typedef struct mk_softmax_s8_params {
    const int32_t *exponentials; /* 256 values with 31 fraction bits: [largest input of the pixel - input] */
} mk_softmax_s8_params;

/* Softmax over the channels of each pixel, rows [first_row, last_row) of the output; may run in place. */
void mk_softmax_s8(const mk_softmax_s8_params *params, const mk_map *input, const mk_map *output, uint16_t first_row,
                   uint16_t last_row);

#endif
