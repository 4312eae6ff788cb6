/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MK_MEAN_PACKED_DSP_H
#define MK_MEAN_PACKED_DSP_H

#include "mk_mean_packed.h"

typedef mk_mean_packed_params mk_mean_packed_dsp_params;

/*
 * mk_mean_packed for cores with DSP instructions: the same bytes of the same parameters. Pixels of the input have at
 * least 4 bytes, of 8 bits at least 8; sums with their offset are less than 2^30.
 */
void mk_mean_packed_dsp(const mk_mean_packed_dsp_params *params, const mk_map *input, const mk_map *output,
                        uint16_t first_row, uint16_t last_row, void *scratch);

#endif
