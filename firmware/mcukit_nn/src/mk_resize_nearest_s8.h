/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MK_RESIZE_NEAREST_S8_H
#define MK_RESIZE_NEAREST_S8_H

#include "mk_common.h"

typedef struct mk_resize_nearest_s8_params {
    const uint16_t *rows;    /* [output row], which row of the input it is */
    const uint16_t *columns; /* [output column], which column of the input it is */
} mk_resize_nearest_s8_params;

/* Rows [first_row, last_row) of the output, whose pixels are pixels of the input. */
void mk_resize_nearest_s8(const mk_resize_nearest_s8_params *params, const mk_map *input, const mk_map *output,
                          uint16_t first_row, uint16_t last_row);

#endif
