/* SPDX-License-Identifier: Apache-2.0 */
/* The part of a window that lies inside a map. Not part of the public interface. */
#ifndef MK_SPAN_H
#define MK_SPAN_H

#include <stdint.h>

/* Rows or columns [first, last). */
typedef struct mk_span {
    int32_t first, last;
} mk_span;

/* What of [first, first + count) lies inside [0, size); first == last where nothing does. */
static inline mk_span mk_inside(int32_t first, int32_t count, int32_t size)
{
    mk_span span = {first, first + count};
    if (span.first < 0) {
        span.first = 0;
    }
    if (span.last > size) {
        span.last = size;
    }
    if (span.last < span.first) {
        span.last = span.first;
    }
    return span;
}

#endif
