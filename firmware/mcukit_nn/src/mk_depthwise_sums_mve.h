/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sums of 16 channels at a time, for the depthwise kernel for cores with Helium: in assembly, and in C over equals of
 * the instructions. Not part of the public interface.
 */
#ifndef MK_DEPTHWISE_SUMS_MVE_H
#define MK_DEPTHWISE_SUMS_MVE_H

#include "mk_mve.h"

/*
 * 16 channels or, of fewer, copies of them. Products of even and odd bytes, widened by even and odd halves, leave sums
 * apart by the remainder of their channel by four: so words are apart, [remainder][channel / 4]. right: shifts to the
 * right, negative, and left: shifts to the left. The assembly below relies on the order of members.
 */
typedef struct mk_depthwise_record {
    int32_t bias[MK_MVE_BYTES], multiplier[MK_MVE_BYTES], right[MK_MVE_BYTES], left[MK_MVE_BYTES];
    int8_t minimum[MK_MVE_BYTES], maximum[MK_MVE_BYTES];
    int8_t outside[MK_MVE_BYTES];    /* a pixel that does not exist */
} mk_depthwise_record;

/* Sums of 16 channels, by the remainder of the channel by four. */
typedef struct mk_depthwise_sums {
    int32x4_t of0, of1, of2, of3;
} mk_depthwise_sums;

/* The lanes of a vector that count: all of them, or those of a predicate. */
typedef struct mk_depthwise_lanes {
    bool all;
    mve_pred16_t predicate;
} mk_depthwise_lanes;

#if MK_MVE

/*
 * Compilers keep too few sums in registers here: with them, one vector less than there are is left for products. A
 * second load of weights is what it takes.
 */
#define WIDEN \
    "vmovlb.s16 %q[v], %q[even] \n" \
    "vadd.i32 %q[of0], %q[of0], %q[v] \n" \
    "vmovlt.s16 %q[v], %q[even] \n" \
    "vadd.i32 %q[of2], %q[of2], %q[v] \n" \
    "vmovlb.s16 %q[v], %q[odd] \n" \
    "vadd.i32 %q[of1], %q[of1], %q[v] \n" \
    "vmovlt.s16 %q[v], %q[odd] \n" \
    "vadd.i32 %q[of3], %q[of3], %q[v] \n"
#define TWO_TAPS(load) \
    load " %q[odd], [%[x0]] \n" \
    "vldrb.8 %q[v], [%[w]], #16 \n" \
    "vmullb.s8 %q[even], %q[odd], %q[v] \n" \
    "vmullt.s8 %q[odd], %q[odd], %q[v] \n" \
    load " %q[v], [%[x1]] \n" \
    "vldrb.8 %q[u], [%[w]] \n" \
    "vmullt.s8 %q[u], %q[v], %q[u] \n" \
    "vadd.i16 %q[odd], %q[odd], %q[u] \n" \
    "vldrb.8 %q[u], [%[w]], #16 \n" \
    "vmullb.s8 %q[u], %q[v], %q[u] \n" \
    "vadd.i16 %q[even], %q[even], %q[u] \n" WIDEN
#define ONE_TAP(load) \
    load " %q[odd], [%[x0]] \n" \
    "vldrb.8 %q[v], [%[w]], #16 \n" \
    "vmullb.s8 %q[even], %q[odd], %q[v] \n" \
    "vmullt.s8 %q[odd], %q[odd], %q[v] \n" WIDEN
#define SUMS(s) [of0] "+w"((s)->of0), [of1] "+w"((s)->of1), [of2] "+w"((s)->of2), [of3] "+w"((s)->of3)
#define ALL "vldrb.8"
#define SOME "vpst \n vldrbt.8"

static inline __attribute__((always_inline)) void mk_add_two_taps(mk_depthwise_sums *s, const int8_t *x0,
                                                                  const int8_t *x1, const int8_t **weights,
                                                                  mk_depthwise_lanes l)
{
    int8x16_t even, odd, u, v;
    const int8_t *w = *weights;
    if (l.all) {
        __asm__ volatile(TWO_TAPS(ALL)
                         : SUMS(s), [even] "=&w"(even), [odd] "=&w"(odd), [u] "=&w"(u), [v] "=&w"(v), [w] "+r"(w)
                         : [x0] "r"(x0), [x1] "r"(x1)
                         : "memory");
    } else {
        __asm__ volatile("vmsr p0, %[lanes] \n" TWO_TAPS(SOME)
                         : SUMS(s), [even] "=&w"(even), [odd] "=&w"(odd), [u] "=&w"(u), [v] "=&w"(v), [w] "+r"(w)
                         : [x0] "r"(x0), [x1] "r"(x1), [lanes] "r"((uint32_t)l.predicate)
                         : "p0", "memory");
    }
    *weights = w;
}

static inline __attribute__((always_inline)) void mk_add_one_tap(mk_depthwise_sums *s, const int8_t *x0,
                                                                 const int8_t **weights, mk_depthwise_lanes l)
{
    int8x16_t even, odd, v;
    const int8_t *w = *weights;
    if (l.all) {
        __asm__ volatile(ONE_TAP(ALL)
                         : SUMS(s), [even] "=&w"(even), [odd] "=&w"(odd), [v] "=&w"(v), [w] "+r"(w)
                         : [x0] "r"(x0)
                         : "memory");
    } else {
        __asm__ volatile("vmsr p0, %[lanes] \n" ONE_TAP(SOME)
                         : SUMS(s), [even] "=&w"(even), [odd] "=&w"(odd), [v] "=&w"(v), [w] "+r"(w)
                         : [x0] "r"(x0), [lanes] "r"((uint32_t)l.predicate)
                         : "p0", "memory");
    }
    *weights = w;
}

static inline __attribute__((always_inline)) mk_depthwise_sums mk_depthwise_biases(const mk_depthwise_record *r)
{
    mk_depthwise_sums s;
    __asm__ volatile("vldrw.32 %q[of0], [%[r]] \n"
                     "vldrw.32 %q[of1], [%[r], #16] \n"
                     "vldrw.32 %q[of2], [%[r], #32] \n"
                     "vldrw.32 %q[of3], [%[r], #48]"
                     : [of0] "=&w"(s.of0), [of1] "=&w"(s.of1), [of2] "=&w"(s.of2), [of3] "=&w"(s.of3)
                     : [r] "r"(r)
                     : "memory");
    return s;
}

/* mk_mve_scale of sums, with the multipliers and shifts that stand in the record at these bytes. */
#define SCALE(sums, multiplier, right) \
    "vldrw.32 %q[u], [%[r], #" multiplier "] \n" \
    "vqrdmulh.s32 %q[" sums "], %q[" sums "], %q[u] \n" \
    "vldrw.32 %q[v], [%[r], #" right "] \n" \
    "vand %q[u], %q[" sums "], %q[v] \n" \
    "vshr.s32 %q[u], %q[u], #31 \n" \
    "vadd.i32 %q[" sums "], %q[" sums "], %q[u] \n" \
    "vrshl.s32 %q[" sums "], %q[" sums "], %q[v] \n"

/* Bytes of sums, side by side. */
static inline __attribute__((always_inline)) int8x16_t mk_depthwise_bytes(const mk_depthwise_record *r,
                                                                          mk_depthwise_sums s, int32_t zero_point)
{
    int32x4_t u, v;
    __asm__ volatile(SCALE("of0", "64", "128") SCALE("of1", "80", "144") SCALE("of2", "96", "160")
                     SCALE("of3", "112", "176")
                     "vqmovnb.s32 %q[of0], %q[of0] \n"
                     "vqmovnt.s32 %q[of0], %q[of2] \n"
                     "vqadd.s16 %q[of0], %q[of0], %[zero_point] \n"
                     "vqmovnb.s32 %q[of1], %q[of1] \n"
                     "vqmovnt.s32 %q[of1], %q[of3] \n"
                     "vqadd.s16 %q[of1], %q[of1], %[zero_point] \n"
                     "vqmovnb.s16 %q[of0], %q[of0] \n"
                     "vqmovnt.s16 %q[of0], %q[of1] \n"
                     "vldrb.8 %q[u], [%[limits]] \n"
                     "vmax.s8 %q[of0], %q[of0], %q[u] \n"
                     "vldrb.8 %q[u], [%[limits], #16] \n"
                     "vmin.s8 %q[of0], %q[of0], %q[u]"
                     : SUMS(&s), [u] "=&w"(u), [v] "=&w"(v)
                     : [r] "r"(r), [limits] "r"(r->minimum), [zero_point] "r"(zero_point)
                     : "memory");
    return vreinterpretq_s8_s32(s.of0);
}

#else

static inline void mk_widen(mk_depthwise_sums *s, int16x8_t even, int16x8_t odd)
{
    s->of0 = vaddq_s32(s->of0, vmovlbq_s16(even));
    s->of2 = vaddq_s32(s->of2, vmovltq_s16(even));
    s->of1 = vaddq_s32(s->of1, vmovlbq_s16(odd));
    s->of3 = vaddq_s32(s->of3, vmovltq_s16(odd));
}

static inline void mk_add_two_taps(mk_depthwise_sums *s, const int8_t *x0, const int8_t *x1, const int8_t **w,
                                   mk_depthwise_lanes l)
{
    const int8x16_t v0 = vldrbq_z_s8(x0, l.predicate), w0 = vldrbq_s8(*w);
    const int8x16_t v1 = vldrbq_z_s8(x1, l.predicate), w1 = vldrbq_s8(*w + MK_MVE_BYTES);
    mk_widen(s, vaddq_s16(vmullbq_int_s8(v0, w0), vmullbq_int_s8(v1, w1)),
             vaddq_s16(vmulltq_int_s8(v0, w0), vmulltq_int_s8(v1, w1)));
    *w += 2 * MK_MVE_BYTES;
}

static inline void mk_add_one_tap(mk_depthwise_sums *s, const int8_t *x0, const int8_t **w, mk_depthwise_lanes l)
{
    const int8x16_t v0 = vldrbq_z_s8(x0, l.predicate), w0 = vldrbq_s8(*w);
    mk_widen(s, vmullbq_int_s8(v0, w0), vmulltq_int_s8(v0, w0));
    *w += MK_MVE_BYTES;
}

static inline mk_depthwise_sums mk_depthwise_biases(const mk_depthwise_record *r)
{
    const int32_t *bias = r->bias;
    const mk_depthwise_sums s = {vldrwq_s32(bias), vldrwq_s32(bias + 4), vldrwq_s32(bias + 8), vldrwq_s32(bias + 12)};
    return s;
}

/* Even and odd lanes of a vector, as near as 16 bits come to them, after adding a number. */
static inline int16x8_t mk_halves(int32x4_t even, int32x4_t odd, int32_t addend)
{
    return vqaddq_n_s16(vqmovntq_s32(vqmovnbq_s32(vreinterpretq_s16_s32(even), even), odd), (int16_t)addend);
}

/* Bytes of sums, side by side. */
static inline int8x16_t mk_depthwise_bytes(const mk_depthwise_record *r, mk_depthwise_sums s, int32_t zero_point)
{
    const int32_t *m = r->multiplier, *right = r->right;
    s.of0 = mk_mve_scale(s.of0, vldrwq_s32(m), vldrwq_s32(right));
    s.of1 = mk_mve_scale(s.of1, vldrwq_s32(m + 4), vldrwq_s32(right + 4));
    s.of2 = mk_mve_scale(s.of2, vldrwq_s32(m + 8), vldrwq_s32(right + 8));
    s.of3 = mk_mve_scale(s.of3, vldrwq_s32(m + 12), vldrwq_s32(right + 12));
    const int16x8_t even = mk_halves(s.of0, s.of2, zero_point), odd = mk_halves(s.of1, s.of3, zero_point);
    const int8x16_t bytes = vqmovntq_s16(vqmovnbq_s16(vreinterpretq_s8_s16(even), even), odd);
    return vminq_s8(vmaxq_s8(bytes, vldrbq_s8(r->minimum)), vldrbq_s8(r->maximum));
}

#endif

#endif
