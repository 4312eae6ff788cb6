/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The intrinsics of arm_mve.h that the _mve kernels use, under their own names, for cores without Helium. Not part of
 * the public interface.
 *
 * Lanes are numbered from the lowest address. "b" is the even ones of narrower lanes, "t" the odd ones. A predicate has
 * a bit for every byte; lanes that it leaves out are 0 after loads and untouched by stores.
 */
#ifndef MK_MVE_IN_C_H
#define MK_MVE_IN_C_H

#include <stdint.h>
#include <string.h>

typedef struct int8x16_t {
    int8_t lane[16];
} int8x16_t;

typedef struct int16x8_t {
    int16_t lane[8];
} int16x8_t;

typedef struct int32x4_t {
    int32_t lane[4];
} int32x4_t;

typedef struct int32x4x4_t {
    int32x4_t val[4];
} int32x4x4_t;

typedef uint16_t mve_pred16_t;

#define MK_EACH(lanes) for (int i = 0; i < (lanes); ++i)

/* The first `count` lanes. */
static inline mve_pred16_t vctp8q(uint32_t count)
{
    return (mve_pred16_t)(count < 16 ? (1u << count) - 1 : 0xFFFFu);
}

static inline mve_pred16_t vctp32q(uint32_t count)
{
    return vctp8q(count < 4 ? 4 * count : 16);
}

static inline int8x16_t vldrbq_z_s8(const int8_t *from, mve_pred16_t p)
{
    int8x16_t result;
    MK_EACH(16)
    {
        result.lane[i] = p >> i & 1 ? from[i] : 0;
    }
    return result;
}

static inline int8x16_t vldrbq_s8(const int8_t *from)
{
    return vldrbq_z_s8(from, 0xFFFF);
}

static inline void vstrbq_p_s8(int8_t *to, int8x16_t a, mve_pred16_t p)
{
    MK_EACH(16)
    {
        if (p >> i & 1) {
            to[i] = a.lane[i];
        }
    }
}

static inline void vstrbq_s8(int8_t *to, int8x16_t a)
{
    vstrbq_p_s8(to, a, 0xFFFF);
}

static inline int32x4_t vldrbq_z_s32(const int8_t *from, mve_pred16_t p)
{
    int32x4_t result;
    MK_EACH(4)
    {
        result.lane[i] = p >> 4 * i & 1 ? from[i] : 0;
    }
    return result;
}

static inline int32x4_t vldrbq_s32(const int8_t *from)
{
    return vldrbq_z_s32(from, 0xFFFF);
}

/* The low byte of each lane. */
static inline void vstrbq_p_s32(int8_t *to, int32x4_t a, mve_pred16_t p)
{
    MK_EACH(4)
    {
        if (p >> 4 * i & 1) {
            to[i] = (int8_t)(uint8_t)(uint32_t)a.lane[i];
        }
    }
}

static inline void vstrbq_s32(int8_t *to, int32x4_t a)
{
    vstrbq_p_s32(to, a, 0xFFFF);
}

static inline int32x4_t vldrwq_z_s32(const int32_t *from, mve_pred16_t p)
{
    int32x4_t result;
    MK_EACH(4)
    {
        result.lane[i] = p >> 4 * i & 1 ? from[i] : 0;
    }
    return result;
}

static inline int32x4_t vldrwq_s32(const int32_t *from)
{
    return vldrwq_z_s32(from, 0xFFFF);
}

/* Lane i of vector k is number 4 * i + k. */
static inline int32x4x4_t vld4q_s32(const int32_t *from)
{
    int32x4x4_t result;
    MK_EACH(16)
    {
        result.val[i % 4].lane[i / 4] = from[i];
    }
    return result;
}

static inline void vstrwq_s32(int32_t *to, int32x4_t a)
{
    memcpy(to, a.lane, sizeof a.lane);
}

static inline int8x16_t vdupq_n_s8(int8_t value)
{
    int8x16_t result;
    MK_EACH(16)
    {
        result.lane[i] = value;
    }
    return result;
}

static inline int32x4_t vdupq_n_s32(int32_t value)
{
    const int32x4_t result = {{value, value, value, value}};
    return result;
}

/* Results of `lanes` lanes of type `vector`, each of which is `expression`. */
#define MK_LANES(vector, lanes, expression) \
    vector result; \
    MK_EACH(lanes) \
    { \
        result.lane[i] = (expression); \
    } \
    return result
#define MK_UNARY(name, from, vector, lanes, expression) \
    static inline vector name(from a) \
    { \
        MK_LANES(vector, lanes, expression); \
    }
#define MK_BINARY(name, from, vector, lanes, expression) \
    static inline vector name(from a, from b) \
    { \
        MK_LANES(vector, lanes, expression); \
    }

static inline int32_t mk_lane_saturated(int64_t value, int bits)
{
    const int64_t limit = (int64_t)1 << (bits - 1);
    return (int32_t)(value < -limit ? -limit : value >= limit ? limit - 1 : value);
}

static inline int32_t mk_lane_wrapped(int64_t value)
{
    return (int32_t)(uint32_t)(uint64_t)value;
}

static inline int32_t mk_lane_shifted(int32_t a, int32_t left)
{
    return left >= 0 ? mk_lane_wrapped((int64_t)((uint64_t)(int64_t)a << left)) : a >> -left;
}

static inline int32_t mk_lane_shifted_rounded(int32_t a, int32_t left)
{
    return left >= 0 ? mk_lane_shifted(a, left) : (int32_t)(((int64_t)a + ((int64_t)1 << (-left - 1))) >> -left);
}

static inline int32_t mk_lane_multiplied_high(int32_t a, int32_t b)
{
    return a == INT32_MIN && b == INT32_MIN ? INT32_MAX : (int32_t)(((int64_t)a * b + ((int64_t)1 << 30)) >> 31);
}

MK_BINARY(vmullbq_int_s8, int8x16_t, int16x8_t, 8, (int16_t)(a.lane[2 * i] * b.lane[2 * i]))
MK_BINARY(vmulltq_int_s8, int8x16_t, int16x8_t, 8, (int16_t)(a.lane[2 * i + 1] * b.lane[2 * i + 1]))
MK_BINARY(vaddq_s16, int16x8_t, int16x8_t, 8, (int16_t)(uint16_t)(a.lane[i] + b.lane[i]))
MK_UNARY(vmovlbq_s8, int8x16_t, int16x8_t, 8, a.lane[2 * i])
MK_UNARY(vmovltq_s8, int8x16_t, int16x8_t, 8, a.lane[2 * i + 1])
MK_UNARY(vmovlbq_s16, int16x8_t, int32x4_t, 4, a.lane[2 * i])
MK_UNARY(vmovltq_s16, int16x8_t, int32x4_t, 4, a.lane[2 * i + 1])
MK_BINARY(vmaxq_s8, int8x16_t, int8x16_t, 16, a.lane[i] > b.lane[i] ? a.lane[i] : b.lane[i])
MK_BINARY(vminq_s8, int8x16_t, int8x16_t, 16, a.lane[i] < b.lane[i] ? a.lane[i] : b.lane[i])
MK_BINARY(vaddq_s32, int32x4_t, int32x4_t, 4, mk_lane_wrapped((int64_t)a.lane[i] + b.lane[i]))
MK_BINARY(vandq_s32, int32x4_t, int32x4_t, 4, a.lane[i] & b.lane[i])
MK_BINARY(vmaxq_s32, int32x4_t, int32x4_t, 4, a.lane[i] > b.lane[i] ? a.lane[i] : b.lane[i])
MK_BINARY(vminq_s32, int32x4_t, int32x4_t, 4, a.lane[i] < b.lane[i] ? a.lane[i] : b.lane[i])
/* Shifts are to the left; negative ones to the right, the second kind rounds ties up. */
MK_BINARY(vshlq_s32, int32x4_t, int32x4_t, 4, mk_lane_shifted(a.lane[i], b.lane[i]))
MK_BINARY(vrshlq_s32, int32x4_t, int32x4_t, 4, mk_lane_shifted_rounded(a.lane[i], b.lane[i]))
/* 2 * a * b / 2^32, ties up. */
MK_BINARY(vqrdmulhq_s32, int32x4_t, int32x4_t, 4, mk_lane_multiplied_high(a.lane[i], b.lane[i]))

static inline int16x8_t vqaddq_n_s16(int16x8_t a, int16_t b)
{
    MK_LANES(int16x8_t, 8, (int16_t)mk_lane_saturated((int64_t)a.lane[i] + b, 16));
}

static inline int32x4_t vaddq_n_s32(int32x4_t a, int32_t b)
{
    MK_LANES(int32x4_t, 4, mk_lane_wrapped((int64_t)a.lane[i] + b));
}

static inline int32x4_t vshrq_n_s32(int32x4_t a, int right)
{
    MK_LANES(int32x4_t, 4, a.lane[i] >> right);
}

/* a with the lanes of b, saturated, in the even ones; then in the odd ones. */
static inline int16x8_t vqmovnbq_s32(int16x8_t a, int32x4_t b)
{
    MK_EACH(4)
    {
        a.lane[2 * i] = (int16_t)mk_lane_saturated(b.lane[i], 16);
    }
    return a;
}

static inline int16x8_t vqmovntq_s32(int16x8_t a, int32x4_t b)
{
    MK_EACH(4)
    {
        a.lane[2 * i + 1] = (int16_t)mk_lane_saturated(b.lane[i], 16);
    }
    return a;
}

static inline int8x16_t vqmovnbq_s16(int8x16_t a, int16x8_t b)
{
    MK_EACH(8)
    {
        a.lane[2 * i] = (int8_t)mk_lane_saturated(b.lane[i], 8);
    }
    return a;
}

static inline int8x16_t vqmovntq_s16(int8x16_t a, int16x8_t b)
{
    MK_EACH(8)
    {
        a.lane[2 * i + 1] = (int8_t)mk_lane_saturated(b.lane[i], 8);
    }
    return a;
}

/* The same bytes as lanes of another width: registers and processors with Helium have the lowest byte first. */
static inline int16x8_t vreinterpretq_s16_s32(int32x4_t a)
{
    int16x8_t result;
    memcpy(&result, &a, sizeof result);
    return result;
}

static inline int8x16_t vreinterpretq_s8_s16(int16x8_t a)
{
    int8x16_t result;
    memcpy(&result, &a, sizeof result);
    return result;
}

static inline int32x4_t vreinterpretq_s32_s8(int8x16_t a)
{
    int32x4_t result;
    memcpy(&result, &a, sizeof result);
    return result;
}

/* The largest of a number and some lanes. */
static inline int8_t vmaxvq_p_s8(int8_t a, int8x16_t b, mve_pred16_t p)
{
    MK_EACH(16)
    {
        if (p >> i & 1 && b.lane[i] > a) {
            a = b.lane[i];
        }
    }
    return a;
}

#endif
