/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MK_CONV2D_S8_MVE_H
#define MK_CONV2D_S8_MVE_H

#include "mk_common.h"

typedef struct mk_conv2d_s8_mve_params {
    const int8_t  *weights;    /* [output channel][row][column][input channel of the group] */
    const int32_t *bias;       /* [output channel], minus input zero point times the sum of the weights */
    const int32_t *multiplier; /* [output channel] */
    const int8_t  *shift;      /* [output channel], positive to the left */
    mk_window window;
    uint16_t groups;
    int16_t  input_zero_point, output_zero_point;
    int16_t  minimum, maximum;
} mk_conv2d_s8_mve_params;

/*
 * Convolution of rows [first_row, last_row) of the output, for cores with Helium: the bytes of mk_conv2d_s8.
 * scratch, aligned to words: 4 bytes for each row of the kernel and three windows of one group, 3 * kernel height *
 * kernel width * input channels / groups bytes; may be null for unpadded 1x1 kernels.
 */
void mk_conv2d_s8_mve(const mk_conv2d_s8_mve_params *params, const mk_map *input, const mk_map *output,
                      uint16_t first_row, uint16_t last_row, void *scratch);

#endif
