/* SPDX-License-Identifier: Apache-2.0 */
/* Pixels are copied whole: their bytes are channels of 8 bits to whom doesn't look into them. */
#include "mk_resize_nearest_packed.h"

/* The same memory as a map of 8 bits. */
static mk_map bytes_of(const mk_map *map)
{
    mk_map bytes = *map;
    bytes.channels = (uint16_t)MK_PIXEL_BYTES(map->channels, map->bits);
    bytes.bits = 8;
    return bytes;
}

void mk_resize_nearest_packed(const mk_resize_nearest_packed_params *params, const mk_map *input, const mk_map *output,
                              uint16_t first_row, uint16_t last_row)
{
    const mk_map input_bytes = bytes_of(input), output_bytes = bytes_of(output);
    mk_resize_nearest_s8(params, &input_bytes, &output_bytes, first_row, last_row);
}
