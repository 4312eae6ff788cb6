/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MK_DEPTHWISE_CONV2D_ANY_S8_DSP_H
#define MK_DEPTHWISE_CONV2D_ANY_S8_DSP_H

#include "mk_depthwise_conv2d_s8.h"

typedef mk_depthwise_conv2d_s8_params mk_depthwise_conv2d_any_s8_dsp_params;

/* Output pixels of a row that are computed together, at most; with a stride so many fewer, but four. */
#define MK_DEPTHWISE_ANY_DSP_COLUMNS 32

/*
 * mk_depthwise_conv2d_s8 for cores with DSP instructions: the same bytes of the same parameters, which must be those of
 * a kernel with one filter for each channel. For most 3x3 kernels mk_depthwise_conv2d_s8_dsp is faster.
 * scratch: for every two rows of the kernel, or the last one alone, 16 bytes for each column of the kernel and for each
 * column of the input that the windows of the outputs span that are computed together, their number rounded up to a
 * multiple of four; but no less than mk_depthwise_conv2d_s8 needs.
 */
void mk_depthwise_conv2d_any_s8_dsp(const mk_depthwise_conv2d_any_s8_dsp_params *params, const mk_map *input,
                                    const mk_map *output, uint16_t first_row, uint16_t last_row, void *scratch);

#endif
