/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MK_FULLY_CONNECTED_PACKED_H
#define MK_FULLY_CONNECTED_PACKED_H

#include "mk_common.h"

typedef struct mk_fully_connected_packed_params {
    const void    *weights;    /* of 8 bits: [output channel][input element] in the order of rows, columns, channels,
                                  each filled up with zeros to a multiple of four; of others: in pairs of filters,
                                  mk_packed_weights.h */
    const int32_t *bias;       /* [output channel], minus `input_zero_point` times the sum of the weights */
    const int32_t *multiplier; /* [output channel] */
    const int8_t  *shift;      /* [output channel], positive to the left */
    uint16_t weight_bits;      /* 8, 4 or 2 */
    uint16_t segment;          /* inputs that are unpacked at a time: at least 32, divisible by 16 */
    uint16_t sum_taps;         /* only mk_fully_connected_packed_dsp asks */
    int16_t  input_zero_point; /* as a packed input stores it */
    int16_t  output_zero_point;
    int16_t  minimum, maximum;
} mk_fully_connected_packed_params;

/*
 * mk_fully_connected_s8 where a map or the weights have 4 or 2 bits.
 * scratch: `segment` bytes.
 */
void mk_fully_connected_packed(const mk_fully_connected_packed_params *params, const mk_map *input,
                               const mk_map *output, uint16_t first_row, uint16_t last_row, void *scratch);

#endif
