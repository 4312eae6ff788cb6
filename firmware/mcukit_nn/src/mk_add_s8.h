/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MK_ADD_S8_H
#define MK_ADD_S8_H

#include "mk_elementwise.h"

typedef mk_sum_s8_params mk_add_s8_params;

/*
 * Sum a + b, rows [first_row, last_row) of the output. A dimension of 1 in an operand broadcasts. May run in place of an
 * operand that has the output's shape.
 */
void mk_add_s8(const mk_add_s8_params *params, const mk_map *a, const mk_map *b, const mk_map *output,
               uint16_t first_row, uint16_t last_row);

#endif
