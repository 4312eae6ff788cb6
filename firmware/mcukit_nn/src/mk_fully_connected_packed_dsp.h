/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MK_FULLY_CONNECTED_PACKED_DSP_H
#define MK_FULLY_CONNECTED_PACKED_DSP_H

#include "mk_fully_connected_packed.h"

typedef mk_fully_connected_packed_params mk_fully_connected_packed_dsp_params;

/*
 * mk_fully_connected_packed for cores with DSP instructions: the same bytes of the same parameters.
 * sum_taps: as of mk_conv2d_packed_dsp.
 * scratch: 2 * `segment` bytes, and one more `segment` where pixels don't fill bytes or rows hold no multiple of four
 * values.
 */
void mk_fully_connected_packed_dsp(const mk_fully_connected_packed_dsp_params *params, const mk_map *input,
                                   const mk_map *output, uint16_t first_row, uint16_t last_row, void *scratch);

#endif
