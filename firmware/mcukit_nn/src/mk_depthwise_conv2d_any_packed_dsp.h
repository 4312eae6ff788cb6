/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MK_DEPTHWISE_CONV2D_ANY_PACKED_DSP_H
#define MK_DEPTHWISE_CONV2D_ANY_PACKED_DSP_H

#include "mk_depthwise_conv2d_packed.h"

typedef mk_depthwise_conv2d_packed_params mk_depthwise_conv2d_any_packed_dsp_params;

/*
 * mk_depthwise_conv2d_packed for cores with DSP instructions: the same bytes of the same parameters, which must be
 * those of a kernel with one filter for each channel. For most 3x3 kernels mk_depthwise_conv2d_packed_dsp is faster.
 * scratch: what mk_depthwise_conv2d_any_s8_dsp needs, and for outputs of 4 or 2 bits four bytes for each of those that
 * are computed together; but no less than mk_depthwise_conv2d_packed needs.
 */
void mk_depthwise_conv2d_any_packed_dsp(const mk_depthwise_conv2d_any_packed_dsp_params *params, const mk_map *input,
                                        const mk_map *output, uint16_t first_row, uint16_t last_row, void *scratch);

#endif
