/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MK_AVERAGE_POOL_S8_DSP_H
#define MK_AVERAGE_POOL_S8_DSP_H

#include "mk_average_pool_s8.h"

typedef mk_average_pool_s8_params mk_average_pool_s8_dsp_params;

/*
 * mk_average_pool_s8 for cores with DSP instructions: the same bytes of the same parameters. At least 8
 * channels, and windows of at most 1024 pixels.
 */
void mk_average_pool_s8_dsp(const mk_average_pool_s8_dsp_params *params, const mk_map *input, const mk_map *output,
                            uint16_t first_row, uint16_t last_row, void *scratch);

#endif
