/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MK_OUTLIERS_H
#define MK_OUTLIERS_H

#include "mk_common.h"

/* Rows [first_row, last_row) and columns [first_column, last_column) of a map. */
typedef struct mk_outlier_part {
    uint16_t first_row, last_row, first_column, last_column;
    uint32_t count; /* as many outliers make it a part with outliers */
} mk_outlier_part;

/* Whether a part of an 8-bit map, which holds it, has outliers: values below `low` or above `high`. */
bool mk_has_outliers(const mk_outlier_part *part, int32_t low, int32_t high, const mk_map *map);

#endif
