/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MK_CONV2D_PACKED_H
#define MK_CONV2D_PACKED_H

#include "mk_conv2d_s8.h"

typedef struct mk_conv2d_packed_params {
    const void    *weights;    /* of 8 bits: mk_conv2d_s8.h; of others: in pairs of filters, mk_packed_weights.h */
    const int32_t *bias;       /* [output channel], minus `input_zero_point` times the sum of the weights */
    const int32_t *multiplier; /* [output channel] */
    const int8_t  *shift;      /* [output channel], positive to the left */
    mk_window window;
    uint16_t groups;
    uint16_t weight_bits;      /* 8, 4 or 2 */
    uint16_t pixels;           /* computed at a time: 1 or 2; only mk_conv2d_packed asks */
    uint16_t sum_taps;         /* only mk_conv2d_packed_dsp asks, where it says so */
    int16_t  input_zero_point; /* as a packed input stores it */
    int16_t  output_zero_point;
    int16_t  minimum, maximum;
} mk_conv2d_packed_params;

/*
 * mk_conv2d_s8 where a map or the weights have 4 or 2 bits.
 * scratch: for each pixel computed at a time a window of one group, one byte for each input, filled up to whole words
 * of weights, or to four taps, unless it is read where it lies (8 bits, unpadded 1x1 kernels in one group, inputs that fill words of
 * weights); and behind these the output channels, unless they have 8 bits. May be null where that is nothing.
 */
void mk_conv2d_packed(const mk_conv2d_packed_params *params, const mk_map *input, const mk_map *output,
                      uint16_t first_row, uint16_t last_row, void *scratch);

#endif
