/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MK_OUTLIERS_H
#define MK_OUTLIERS_H

#include "mk_common.h"

/* Values of an 8-bit map below `low` or above `high` are outliers. */
typedef struct mk_outlier_test {
    int16_t  low, high;
    uint32_t count; /* as many of them make a tile one with outliers */
} mk_outlier_test;

/* Rows [first_row, last_row) and columns [first_column, last_column) of a map. */
typedef struct mk_region {
    uint16_t first_row, last_row, first_column, last_column;
} mk_region;

/* Whether a part of an 8-bit map, which holds it, has outliers. */
bool mk_has_outliers(const mk_outlier_test *test, const mk_map *map, const mk_region *part);

#endif
