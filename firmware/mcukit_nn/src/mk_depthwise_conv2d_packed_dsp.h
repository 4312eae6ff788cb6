/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MK_DEPTHWISE_CONV2D_PACKED_DSP_H
#define MK_DEPTHWISE_CONV2D_PACKED_DSP_H

#include "mk_depthwise_conv2d_packed.h"
#include "mk_depthwise_conv2d_s8_dsp.h"

typedef mk_depthwise_conv2d_packed_params mk_depthwise_conv2d_packed_dsp_params;

/* Bytes of scratch memory, behind those of MK_DEPTHWISE_DSP_RECORDS, for so many output pixels of 4 or 2 bits. */
#define MK_DEPTHWISE_PACKED_DSP_WORDS(columns) (((columns) + 1) / 2 * 16)

/*
 * Behind them, for weights of 4 or 2 bits. filled: channels, as many as whole words of weights have. More weights than
 * this need none: they are unpacked for rows that are computed together.
 */
#define MK_DEPTHWISE_PACKED_DSP_WEIGHTS(filled) ((filled) <= 256 ? 9u * (filled) : 0u)

/*
 * mk_depthwise_conv2d_packed for cores with DSP instructions: the same bytes of the same parameters, which must be
 * those of a 3x3 kernel with one filter for each channel whose columns are not dilated and have a stride of 1 or 2; and
 * sums of channels with a shift of -9 to 5 - weight_bits must stay below 2^(20 - shift), so that their weights can be
 * scaled. MK_DEPTHWISE_DSP_ROWS are computed together. scratch: MK_DEPTHWISE_DSP_RECORDS, and for outputs of 4 or 2
 * bits MK_DEPTHWISE_PACKED_DSP_WORDS, for a row of the output, or for MK_DEPTHWISE_DSP_COLUMNS / stride pixels where it
 * has more; for weights of 4 or 2 bits also MK_DEPTHWISE_PACKED_DSP_WEIGHTS; but no less than
 * mk_depthwise_conv2d_packed needs.
 */
void mk_depthwise_conv2d_packed_dsp(const mk_depthwise_conv2d_packed_dsp_params *params, const mk_map *input,
                                    const mk_map *output, uint16_t first_row, uint16_t last_row, void *scratch);

#endif
