/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kernels for cores with Helium share: vector instructions on integers of Armv8.1-M, as Cortex-M55 and M85 have
 * them. Not part of the public interface.
 *
 * They are written in the intrinsics of arm_mve.h; only the loops that multiply whole vectors are in assembly, because
 * compilers know no tail-predicated loops. On other cores they run as they are, over equals of the instructions in C:
 * right, but slow. This is also how their arithmetic and their memory accesses are tested under sanitizers.
 */
#ifndef MK_MVE_H
#define MK_MVE_H

#include <stddef.h>
#include <stdint.h>

#include "mk_common.h"

#if defined(__ARM_FEATURE_MVE) && __ARM_FEATURE_MVE
#define MK_MVE 1
#include <arm_mve.h>
#else
#define MK_MVE 0
#include "mk_mve_in_c.h"
#endif

enum { MK_MVE_BYTES = 16, MK_MVE_WORDS = 4 };

#define MK_MVE_OUTSIDE (-1)

/* Where the rows are that windows in row y of the output see: in bytes behind the map's data, or MK_MVE_OUTSIDE. */
static inline void mk_mve_find_rows(const mk_window *window, const mk_map *input, int32_t y, int32_t *rows)
{
    int32_t row = y * window->stride_y - window->pad_top;
    for (uint32_t i = 0; i < window->kernel_height; ++i, row += window->dilation_y) {
        rows[i] = mk_has_row(input, row) ? (int32_t)(mk_row(input, row) - input->data) : MK_MVE_OUTSIDE;
    }
}

/* Copies `count` > 0 bytes. Vectors are small enough for every row of a window, and a call is not. */
static inline void mk_mve_copy(int8_t *to, const int8_t *from, uint32_t count)
{
#if MK_MVE
    __asm__ volatile("dlstp.8 lr, %[count] \n"
                     "1: vldrb.8 q0, [%[from]], #16 \n"
                     "vstrb.8 q0, [%[to]], #16 \n"
                     "letp lr, 1b"
                     : [to] "+r"(to), [from] "+r"(from)
                     : [count] "r"(count)
                     : "lr", "q0", "memory");
#else
    memcpy(to, from, count);
#endif
}

/* The same of three runs of bytes, which are `from_step` and `to_step` bytes apart. */
static inline void mk_mve_copy_three(int8_t *to, uint32_t to_step, const int8_t *from, uint32_t from_step,
                                     uint32_t count)
{
#if MK_MVE
    const int8_t *from1 = from + from_step, *from2 = from1 + from_step;
    int8_t *to1 = to + to_step, *to2 = to1 + to_step;
    __asm__ volatile("dlstp.8 lr, %[count] \n"
                     "1: vldrb.8 q0, [%[from]], #16 \n"
                     "vldrb.8 q1, [%[from1]], #16 \n"
                     "vldrb.8 q2, [%[from2]], #16 \n"
                     "vstrb.8 q0, [%[to]], #16 \n"
                     "vstrb.8 q1, [%[to1]], #16 \n"
                     "vstrb.8 q2, [%[to2]], #16 \n"
                     "letp lr, 1b"
                     : [to] "+r"(to), [to1] "+r"(to1), [to2] "+r"(to2), [from] "+r"(from), [from1] "+r"(from1),
                       [from2] "+r"(from2)
                     : [count] "r"(count)
                     : "lr", "q0", "q1", "q2", "memory");
#else
    for (uint32_t i = 0; i < 3; ++i) {
        memcpy(to + i * to_step, from + i * from_step, count);
    }
#endif
}

/* `count` > 0 times the same byte. */
static inline void mk_mve_fill(int8_t *to, int8_t value, uint32_t count)
{
#if MK_MVE
    __asm__ volatile("vdup.8 q0, %[value] \n"
                     "dlstp.8 lr, %[count] \n"
                     "1: vstrb.8 q0, [%[to]], #16 \n"
                     "letp lr, 1b"
                     : [to] "+r"(to)
                     : [count] "r"(count), [value] "r"((int32_t)value)
                     : "lr", "q0", "memory");
#else
    memset(to, value, count);
#endif
}

/* Whether any of `count` shifts is to the left. */
static inline bool mk_mve_any_left(const int8_t *shifts, uint32_t count)
{
    int8_t largest = -128;
    for (uint32_t i = 0; i < count; i += MK_MVE_BYTES) {
        const mve_pred16_t p = vctp8q(count - i);
        largest = vmaxvq_p_s8(largest, vldrbq_z_s8(shifts + i, p), p);
    }
    return largest > 0;
}

/*
 * mk_requantize of four sums whose shifts are not to the left.
 * Shifts to the right round ties up; 1 is taken off negative values before so that theirs are rounded away from zero. A
 * shift of 0 has no sign bit and leaves them as they are.
 */
static inline int32x4_t mk_mve_scale(int32x4_t sums, int32x4_t multiplier, int32x4_t shift)
{
    const int32x4_t high = vqrdmulhq_s32(sums, multiplier);
    const int32x4_t below_zero = vshrq_n_s32(vandq_s32(high, shift), 31);
    return vrshlq_s32(vaddq_s32(high, below_zero), shift);
}

/* The same with any shifts. any_left: whether there may be one to the left. */
static inline int32x4_t mk_mve_requantize(int32x4_t sums, int32x4_t multiplier, int32x4_t shift, bool any_left)
{
    if (any_left) {
        const int32x4_t zero = vdupq_n_s32(0);
        sums = vshlq_s32(sums, vmaxq_s32(shift, zero));
        shift = vminq_s32(shift, zero);
    }
    return mk_mve_scale(sums, multiplier, shift);
}

/* The low byte of each lane becomes the value of the lane, as near as a byte comes to it. */
static inline int32x4_t mk_mve_saturate(int32x4_t values)
{
#if MK_MVE
    /* In place; compilers copy the operand of the intrinsics twice. */
    __asm__("vqmovnb.s32 %q0, %q0 \n vqmovnb.s16 %q0, %q0" : "+w"(values));
    return values;
#else
    const int16x8_t halves = vqmovnbq_s32(vreinterpretq_s16_s32(values), values);
    return vreinterpretq_s32_s8(vqmovnbq_s16(vreinterpretq_s8_s16(halves), halves));
#endif
}

/*
 * Adds the products of `count` > 0 inputs with four filters to four sums. The filters are w[0] to w[3].
 */
static inline void mk_mve_add_products(const int8_t *in, const int8_t *const w[4], uint32_t count, int32_t sums[4])
{
#if MK_MVE
    const int8_t *w0 = w[0], *w1 = w[1], *w2 = w[2], *w3 = w[3];
    int32_t sum0 = sums[0], sum1 = sums[1], sum2 = sums[2], sum3 = sums[3];
    /* Te: registers of even number, as the sums of vmladava are. Each load waits for no multiplication. */
    __asm__ volatile("dlstp.8 lr, %[count] \n"
                     "1: vldrb.8 q0, [%[in]], #16 \n"
                     "vldrb.8 q1, [%[w0]], #16 \n"
                     "vmladava.s8 %[sum0], q0, q1 \n"
                     "vldrb.8 q2, [%[w1]], #16 \n"
                     "vmladava.s8 %[sum1], q0, q2 \n"
                     "vldrb.8 q3, [%[w2]], #16 \n"
                     "vmladava.s8 %[sum2], q0, q3 \n"
                     "vldrb.8 q1, [%[w3]], #16 \n"
                     "vmladava.s8 %[sum3], q0, q1 \n"
                     "letp lr, 1b"
                     : [sum0] "+Te"(sum0), [sum1] "+Te"(sum1), [sum2] "+Te"(sum2), [sum3] "+Te"(sum3), [in] "+r"(in),
                       [w0] "+r"(w0), [w1] "+r"(w1), [w2] "+r"(w2), [w3] "+r"(w3)
                     : [count] "r"(count)
                     : "lr", "q0", "q1", "q2", "q3", "memory");
    sums[0] = sum0;
    sums[1] = sum1;
    sums[2] = sum2;
    sums[3] = sum3;
#else
    for (int filter = 0; filter < 4; ++filter) {
        for (uint32_t i = 0; i < count; ++i) {
            sums[filter] += in[i] * w[filter][i];
        }
    }
#endif
}

/* What turns sums into bytes, as parameters of kernels have it. any_left: whether a shift is to the left. */
typedef struct mk_mve_output {
    const int32_t *multiplier;
    const int8_t *shift;
    int32_t zero_point;
    bool any_left;
} mk_mve_output;

/* Four channels of a pixel, those from `channel` on, at most: as near as 8 bits come to the results. */
static inline void mk_mve_finish(const mk_mve_output *o, int32x4_t sums, uint32_t channel, uint32_t count, int8_t *out)
{
    const mve_pred16_t p = vctp32q(count);
    const int32x4_t multiplier = vldrwq_z_s32(o->multiplier + channel, p);
    const int32x4_t shift = vldrbq_z_s32(o->shift + channel, p);
    const int32x4_t values = vaddq_n_s32(mk_mve_requantize(sums, multiplier, shift, o->any_left), o->zero_point);
    vstrbq_p_s32(out, mk_mve_saturate(values), p);
}

/* Limits `count` bytes, where an activation allows fewer values than a byte holds. */
static inline void mk_mve_limit(int8_t *values, uint32_t count, int32_t minimum, int32_t maximum)
{
    if (minimum == -128 && maximum == 127) {
        return;
    }
    const int8x16_t low = vdupq_n_s8((int8_t)minimum), high = vdupq_n_s8((int8_t)maximum);
    for (uint32_t i = 0; i < count; i += MK_MVE_BYTES) {
        const mve_pred16_t p = vctp8q(count - i);
        vstrbq_p_s8(values + i, vminq_s8(vmaxq_s8(vldrbq_z_s8(values + i, p), low), high), p);
    }
}

#endif
