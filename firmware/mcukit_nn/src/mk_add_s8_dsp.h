/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MK_ADD_S8_DSP_H
#define MK_ADD_S8_DSP_H

#include "mk_add_s8.h"

typedef mk_add_s8_params mk_add_s8_dsp_params;

/*
 * mk_add_s8 for cores with DSP instructions: the same bytes of the same parameters. Nothing broadcasts but rows; all
 * multipliers are at least 2^30, and all shifts negative but that of an operand with the multiplier 2^30.
 */
void mk_add_s8_dsp(const mk_add_s8_dsp_params *params, const mk_map *a, const mk_map *b, const mk_map *output,
                   uint16_t first_row, uint16_t last_row);

#endif
