/* SPDX-License-Identifier: Apache-2.0 */
/* What the DSP kernels of means share. Not part of the public interface. */
#ifndef MK_MEAN_DSP_H
#define MK_MEAN_DSP_H

#include "mk_mean_s8.h"
#include "mk_sums_dsp.h"

#if MK_DSP

static inline mk_span mk_all_rows(const mk_map *map)
{
    const mk_span rows = {0, map->height};
    return rows;
}

static inline mk_span mk_all_columns(const mk_map *map)
{
    const mk_span columns = {0, map->width};
    return columns;
}

/*
 * doubled: 2 * multiplier, of which 2^32 may be left out; then `once` has all bits set, and else none. right, offset:
 * one less than the shift to the right, and what mk_scaled_twice adds.
 */
typedef struct mk_mean_scale {
    uint32_t doubled;
    int32_t once, right, offset;
} mk_mean_scale;

/*
 * added: to each mean. Shifts to the left are rare, and means of few pixels: then sums become twice the means here,
 * and are not scaled any more.
 */
static inline mk_mean_scale mk_mean_scale_of(const mk_mean_s8_params *p, int32_t added, int32_t *sums,
                                             uint32_t channels)
{
    mk_mean_scale scale = {
        .doubled = (uint32_t)p->multiplier << 1,
        .once = p->multiplier >= (int32_t)1 << 30 ? -1 : 0,
        .right = -p->shift - 1,
        .offset = 2 * (p->output_zero_point + added) + 1,
    };
    if (p->shift >= 0) {
        for (uint32_t c = 0; c < channels; ++c) {
            sums[c] = 2 * mk_to_half(mk_requantize(sums[c], p->multiplier, p->shift));
        }
        scale.doubled = 0;
        scale.once = -1;
        scale.right = 0;
    }
    return scale;
}

/* Twice the mean, and perhaps 1 more: as mk_requantize_twice, of any multiplier. */
static inline int32_t mk_scaled_twice(const mk_mean_scale *s, int32_t sum)
{
    int32_t value = mk_multiply_high_rounded(sum, s->doubled, sum & s->once);
    value += value >> 31;
    return (value >> s->right) + s->offset;
}

static inline void mk_write_means(const mk_mean_scale *scale, const int32_t *sums, uint32_t channels, int8_t *out)
{
    for (uint32_t c = 0; c < channels; ++c) {
        out[c] = (int8_t)mk_halve_to_byte(mk_scaled_twice(scale, sums[c]));
    }
}

#endif

#endif
