/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MK_DEPTHWISE_CONV2D_S8_MVE_H
#define MK_DEPTHWISE_CONV2D_S8_MVE_H

#include "mk_depthwise_conv2d_s8.h"

typedef mk_depthwise_conv2d_s8_params mk_depthwise_conv2d_s8_mve_params;

/*
 * mk_depthwise_conv2d_s8 for cores with Helium: the same bytes of the same parameters, which must be those of a kernel
 * with one filter for each channel and without weights of -128.
 * scratch, aligned to words: 304 bytes, 4 for each row of the kernel, and 16 for each of its taps.
 */
void mk_depthwise_conv2d_s8_mve(const mk_depthwise_conv2d_s8_mve_params *params, const mk_map *input,
                                const mk_map *output, uint16_t first_row, uint16_t last_row, void *scratch);

#endif
