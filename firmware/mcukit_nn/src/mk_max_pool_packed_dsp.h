/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MK_MAX_POOL_PACKED_DSP_H
#define MK_MAX_POOL_PACKED_DSP_H

#include "mk_max_pool_packed.h"

typedef mk_max_pool_packed_params mk_max_pool_packed_dsp_params;

/*
 * mk_max_pool_packed for cores with DSP instructions: the same bytes of the same parameters. At least 4 bytes a
 * pixel.
 */
void mk_max_pool_packed_dsp(const mk_max_pool_packed_dsp_params *params, const mk_map *input, const mk_map *output,
                            uint16_t first_row, uint16_t last_row);

#endif
