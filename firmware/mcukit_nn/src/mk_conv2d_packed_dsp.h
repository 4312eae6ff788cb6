/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MK_CONV2D_PACKED_DSP_H
#define MK_CONV2D_PACKED_DSP_H

#include "mk_conv2d_packed.h"

typedef mk_conv2d_packed_params mk_conv2d_packed_dsp_params;

/*
 * mk_conv2d_packed for cores with DSP instructions: the same bytes of the same parameters.
 * sum_taps: for weights of 4 bits and inputs of fewer than 8, and for weights of 2 bits: a multiple of the taps in a word
 * of a pair of filters. For the first filter of each pair, the sum of any so many of its weights that begin with a word,
 * as they are stored, times the largest input as it is stored, must be less than 2^12 for weights of 4 bits and 2^14 for
 * others; for inputs of 8 bits, times 128, at most 2^13.
 * scratch: what mk_conv2d_packed needs, or this, if it is more: the windows of three pixels of one group, expanded to 16
 * bits, 6 bytes for each tap of a filter, with as many as fill a multiple of four, for weights of 2 bits of eight. Behind them 3 bytes for each output
 * channel, filled up to a multiple of four, where outputs of 4 or 2 bits are limited or those of a group don't fill
 * bytes. Behind these, unless the kernel is 1x1 without pads and the channels of a group fill bytes, 3 copies of what is
 * expanded at a time, each filled up to a multiple of four bytes. That is a row of a window if its bytes hold a multiple
 * of four taps or it has no other row, or else a window; one byte for each tap where channels of a group don't fill
 * bytes.
 */
void mk_conv2d_packed_dsp(const mk_conv2d_packed_dsp_params *params, const mk_map *input, const mk_map *output,
                          uint16_t first_row, uint16_t last_row, void *scratch);

#endif
