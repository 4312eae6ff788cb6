/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MK_DEPTHWISE_CONV2D_S8_DSP_H
#define MK_DEPTHWISE_CONV2D_S8_DSP_H

#include "mk_depthwise_conv2d_s8.h"

typedef mk_depthwise_conv2d_s8_params mk_depthwise_conv2d_s8_dsp_params;

/*
 * Output pixels of a row that are computed together, of kernels 3 columns wide; one of a stride of 2 reads twice as
 * much.
 */
#define MK_DEPTHWISE_DSP_COLUMNS 64

/*
 * Output rows that are computed together in a map of that width, four channels of all of them at a time. A plan must
 * not let one of them take the place of input rows that another one needs.
 */
#define MK_DEPTHWISE_DSP_MOST_ROWS 8u
#define MK_DEPTHWISE_DSP_ROWS(width) \
    ((width) <= 8 ? MK_DEPTHWISE_DSP_MOST_ROWS : (width) <= 12 ? 4u : (width) <= 24 ? 3u : 1u)

/* Bytes of scratch memory for that many output pixels. */
#define MK_DEPTHWISE_DSP_RECORDS(columns, stride) ((((columns) + 1) / 2 * (stride) + 1) * 48)

/*
 * mk_depthwise_conv2d_s8 for cores with DSP instructions: the same bytes of the same parameters, which must be those of
 * a 3x3 kernel with one filter for each channel whose columns are not dilated and have a stride of 1 or 2; and sums of
 * channels with a shift of -9 to -3 must stay below 2^(20 - shift), so that their weights can be scaled. scratch:
 * MK_DEPTHWISE_DSP_RECORDS for a row of the output, or for MK_DEPTHWISE_DSP_COLUMNS / stride pixels where it has more;
 * but no less than mk_depthwise_conv2d_s8 needs.
 */
void mk_depthwise_conv2d_s8_dsp(const mk_depthwise_conv2d_s8_dsp_params *params, const mk_map *input,
                                const mk_map *output, uint16_t first_row, uint16_t last_row, void *scratch);

#endif
