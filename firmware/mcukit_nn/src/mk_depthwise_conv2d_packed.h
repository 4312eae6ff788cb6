/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MK_DEPTHWISE_CONV2D_PACKED_H
#define MK_DEPTHWISE_CONV2D_PACKED_H

#include "mk_common.h"

typedef struct mk_depthwise_conv2d_packed_params {
    const void    *weights;    /* [row][column][output channel], each tap in words of its own: mk_packed_weights.h */
    const int32_t *bias;       /* [output channel], minus `input_zero_point` times the sum of the weights */
    const int32_t *multiplier; /* [output channel] */
    const int8_t  *shift;      /* [output channel], positive to the left */
    mk_window window;
    uint16_t channel_multiplier; /* output channel c reads input channel c / channel_multiplier */
    uint16_t weight_bits;        /* 8, 4 or 2 */
    int16_t  input_zero_point;   /* as a packed input stores it */
    int16_t  output_zero_point;
    int16_t  minimum, maximum;
} mk_depthwise_conv2d_packed_params;

/* Of scratch, on any machine: a pointer for each tap, and room to align the first one. */
#define MK_DEPTHWISE_CONV2D_PACKED_POINTERS(taps_) (8u * (uint32_t)(taps_) + 4u)

/*
 * mk_depthwise_conv2d_s8 where a map or the weights have 4 or 2 bits.
 * scratch: MK_DEPTHWISE_CONV2D_PACKED_POINTERS of the window's taps; a pixel of the input, as it is stored; and the
 * output channels, one byte each, unless they have 8 bits.
 */
void mk_depthwise_conv2d_packed(const mk_depthwise_conv2d_packed_params *params, const mk_map *input,
                                const mk_map *output, uint16_t first_row, uint16_t last_row, void *scratch);

#endif
