/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MK_PAD_S8_H
#define MK_PAD_S8_H

#include "mk_common.h"

typedef struct mk_pad_s8_params {
    uint16_t top, left;     /* pixels in front of the input's; those behind follow from the maps' sizes */
    uint16_t first_channel; /* channels in front of the input's */
    int16_t  value;
} mk_pad_s8_params;

/* Rows [first_row, last_row) of the output: the input with a border of `value`. */
void mk_pad_s8(const mk_pad_s8_params *params, const mk_map *input, const mk_map *output, uint16_t first_row,
               uint16_t last_row);

#endif
