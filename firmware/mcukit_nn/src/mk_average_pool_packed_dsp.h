/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MK_AVERAGE_POOL_PACKED_DSP_H
#define MK_AVERAGE_POOL_PACKED_DSP_H

#include "mk_average_pool_packed.h"

typedef mk_average_pool_packed_params mk_average_pool_packed_dsp_params;

/*
 * mk_average_pool_packed for cores with DSP instructions: the same bytes of the same parameters. Pixels have at least
 * 4 bytes, and windows at most 1024 pixels.
 */
void mk_average_pool_packed_dsp(const mk_average_pool_packed_dsp_params *params, const mk_map *input,
                                const mk_map *output, uint16_t first_row, uint16_t last_row, void *scratch);

#endif
