/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a layer has computed, as a record: nine little-endian words (input, layer, first row, last row, first column,
 * columns, height, width, bytes of the rows that follow) and the rows themselves.
 */
#ifndef MCUKIT_TRACE_ROWS_H
#define MCUKIT_TRACE_ROWS_H

#include <stdint.h>

#include "mcukit_nn.h"

typedef void (*trace_sink)(const void *bytes, uint32_t count);

static inline void trace_rows(
    trace_sink sink, uint32_t input, uint16_t layer, const mk_map *map, uint16_t first_row, uint16_t last_row)
{
    /* Of a call of more rows than the map holds, which happens where no one reads some of them, the last ones are left. */
    const uint32_t first = last_row - first_row > map->ring ? (uint32_t)last_row - map->ring : first_row;
    const uint32_t tile_row_bytes = map->columns * MK_PIXEL_BYTES(map->channels, map->bits); /* less than a row of a wider buffer */
    const uint32_t bytes = (last_row - first) * tile_row_bytes;
    const uint32_t record[9] = {input,        layer,       first,      last_row, map->first_column,
                                map->columns, map->height, map->width, bytes};
    if (bytes == 0) {
        return;
    }
    sink(record, sizeof record);
    for (uint32_t row = first; row < last_row; row++) {
        sink(map->data + (row % map->ring) * map->row_bytes, tile_row_bytes);
    }
}

#endif
