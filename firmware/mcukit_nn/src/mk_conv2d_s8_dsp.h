/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MK_CONV2D_S8_DSP_H
#define MK_CONV2D_S8_DSP_H

#include "mk_conv2d_s8.h"

typedef mk_conv2d_s8_params mk_conv2d_s8_dsp_params;

/*
 * mk_conv2d_s8 for cores with DSP instructions: the same bytes of the same parameters.
 * scratch: the windows of three pixels of one group, expanded to 16 bits: 6 bytes for each tap of a filter, zeros
 * included. Behind them, unless the kernel is 1x1 without pads, 3 copies of what is expanded at a time: of a row of a
 * window where its bytes are a multiple of four or it has no other row, or else of a window, each filled up to a
 * multiple of four bytes.
 */
void mk_conv2d_s8_dsp(const mk_conv2d_s8_dsp_params *params, const mk_map *input, const mk_map *output,
                      uint16_t first_row, uint16_t last_row, void *scratch);

#endif
