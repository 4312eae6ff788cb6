/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MK_CONV2D_S8_H
#define MK_CONV2D_S8_H

#include "mk_common.h"

typedef struct mk_conv2d_s8_params {
    const int8_t  *weights;    /* [pair of output channels][four taps][8]: see below */
    const int32_t *bias;       /* [output channel], minus input zero point times the sum of the weights */
    const int32_t *multiplier; /* [output channel] */
    const int8_t  *shift;      /* [output channel], positive to the left */
    mk_window window;
    uint16_t groups;
    int16_t  input_zero_point, output_zero_point;
    int16_t  minimum, maximum;
} mk_conv2d_s8_params;

/*
 * The taps of a filter are its rows, columns and input channels of the group, in this order; zeros fill them up to a
 * multiple of four. Two filters stand side by side, a and b, and beside the last one of a group, where their number is
 * odd, zeros. Four taps of two filters are a0 b0 a2 b2 a1 b1 a3 b3: two bytes of each filter can be taken out of a
 * word by one instruction of cores with DSP instructions, and four inputs are split likewise.
 */
#define MK_CONV2D_S8_WEIGHTS(filters, taps) (((filters) + 1u) / 2 * (((taps) + 3u) / 4 * 8))

/*
 * Convolution of rows [first_row, last_row) of the output.
 * scratch: two windows of one group, 2 * kernel height * kernel width * input channels / groups bytes; may be null for
 * unpadded 1x1 kernels in one group.
 */
void mk_conv2d_s8(const mk_conv2d_s8_params *params, const mk_map *input, const mk_map *output, uint16_t first_row,
                  uint16_t last_row, void *scratch);

#endif
