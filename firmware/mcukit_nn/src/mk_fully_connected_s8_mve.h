/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MK_FULLY_CONNECTED_S8_MVE_H
#define MK_FULLY_CONNECTED_S8_MVE_H

#include "mk_fully_connected_s8.h"

typedef mk_fully_connected_s8_params mk_fully_connected_s8_mve_params;

/* mk_fully_connected_s8 for cores with Helium: the same bytes of the same parameters. */
void mk_fully_connected_s8_mve(const mk_fully_connected_s8_mve_params *params, const mk_map *input,
                               const mk_map *output, uint16_t first_row, uint16_t last_row);

#endif
