/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MK_FULLY_CONNECTED_S8_H
#define MK_FULLY_CONNECTED_S8_H

#include "mk_common.h"

typedef struct mk_fully_connected_s8_params {
    const int8_t  *weights;    /* [output channel][input element], elements in the order of rows, columns, channels */
    const int32_t *bias;       /* [output channel], minus input zero point times the sum of the weights */
    const int32_t *multiplier; /* [output channel] */
    const int8_t  *shift;      /* [output channel], positive to the left */
    int16_t input_zero_point, output_zero_point;
    int16_t minimum, maximum;
} mk_fully_connected_s8_params;

/* The one row of the output, from all rows of the input. */
void mk_fully_connected_s8(const mk_fully_connected_s8_params *params, const mk_map *input, const mk_map *output,
                           uint16_t first_row, uint16_t last_row);

#endif
