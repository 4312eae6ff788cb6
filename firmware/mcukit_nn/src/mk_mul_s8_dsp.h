/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MK_MUL_S8_DSP_H
#define MK_MUL_S8_DSP_H

#include "mk_mul_s8.h"

typedef mk_mul_s8_params mk_mul_s8_dsp_params;

/*
 * mk_mul_s8 for cores with DSP instructions: the same bytes of the same parameters. Both operands have all channels
 * of the output; the multiplier is at least 2^30 and the shift negative, at least -31.
 */
void mk_mul_s8_dsp(const mk_mul_s8_dsp_params *params, const mk_map *a, const mk_map *b, const mk_map *output,
                   uint16_t first_row, uint16_t last_row);

#endif
