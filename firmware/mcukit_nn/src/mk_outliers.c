/* SPDX-License-Identifier: Apache-2.0 */
/* Value-driven choice of a tile's precision: what holds outliers keeps all its bits. */
#include "mk_outliers.h"

bool mk_has_outliers(const mk_outlier_part *part, int32_t low, int32_t high, const mk_map *map)
{
    const uint32_t skipped = ((uint32_t)part->first_column - map->first_column) * map->channels;
    const uint32_t values = ((uint32_t)part->last_column - part->first_column) * map->channels;
    /* One comparison for both ends: what lies below `low` wraps to a large number. */
    const uint32_t span = (uint32_t)(high - low);
    uint32_t found = 0;
    for (int32_t y = part->first_row; y < part->last_row; ++y) {
        const int8_t *row = mk_row(map, y) + skipped;
        for (uint32_t i = 0; i < values; ++i) {
            found += (uint32_t)(row[i] - low) > span;
        }
    }
    return found >= part->count;
}
