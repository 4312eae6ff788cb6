/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MK_DEPTHWISE_CONV2D_S8_H
#define MK_DEPTHWISE_CONV2D_S8_H

#include "mk_common.h"

typedef struct mk_depthwise_conv2d_s8_params {
    const int8_t  *weights;    /* [row][column][output channel] */
    const int32_t *bias;       /* [output channel], minus input zero point times the sum of the weights */
    const int32_t *multiplier; /* [output channel] */
    const int8_t  *shift;      /* [output channel], positive to the left */
    mk_window window;
    uint16_t channel_multiplier; /* output channel c reads input channel c / channel_multiplier */
    int16_t  input_zero_point, output_zero_point;
    int16_t  minimum, maximum;
} mk_depthwise_conv2d_s8_params;

/*
 * Depthwise convolution of rows [first_row, last_row) of the output.
 * scratch: one int32_t for each output channel.
 */
void mk_depthwise_conv2d_s8(const mk_depthwise_conv2d_s8_params *params, const mk_map *input, const mk_map *output,
                            uint16_t first_row, uint16_t last_row, void *scratch);

#endif
