/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MK_MEAN_S8_H
#define MK_MEAN_S8_H

#include "mk_common.h"

typedef struct mk_mean_s8_params {
    int32_t offset;     /* minus the input's zero point times the number of pixels */
    int32_t multiplier; /* of a sum: the number of pixels is divided out in it */
    int16_t shift;      /* positive to the left */
    int16_t output_zero_point;
    int16_t minimum, maximum;
} mk_mean_s8_params;

/*
 * The one pixel of the output: the requantized mean of all pixels of the input.
 * scratch: one int32_t for each channel.
 */
void mk_mean_s8(const mk_mean_s8_params *params, const mk_map *input, const mk_map *output, uint16_t first_row,
                uint16_t last_row, void *scratch);

#endif
