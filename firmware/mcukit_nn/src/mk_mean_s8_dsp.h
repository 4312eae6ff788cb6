/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MK_MEAN_S8_DSP_H
#define MK_MEAN_S8_DSP_H

#include "mk_mean_s8.h"

typedef mk_mean_s8_params mk_mean_s8_dsp_params;

/*
 * mk_mean_s8 for cores with DSP instructions: the same bytes of the same parameters. At least 8 channels; sums with
 * their offset are less than 2^30.
 */
void mk_mean_s8_dsp(const mk_mean_s8_dsp_params *params, const mk_map *input, const mk_map *output, uint16_t first_row,
                    uint16_t last_row, void *scratch);

#endif
