/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The instructions of Armv7E-M that multiply and move two 16-bit values at a time, as functions. Not part of the public
 * interface.
 *
 * Where the core has no such instructions, the _dsp kernels call the portable ones, which read the same parameters
 * and need no more scratch memory. Only with MK_DSP_EMULATED defined they run as they are, over equals of the
 * instructions in C: this is how their arithmetic and their memory accesses are tested under sanitizers.
 */
#ifndef MK_DSP_H
#define MK_DSP_H

#include <stdint.h>
#include <string.h>

#include "mk_common.h"

/* Without optimization compilers for cores with Helium keep registers for themselves that the assembly needs. */
#if defined(__ARM_FEATURE_MVE) && !defined(__OPTIMIZE__)
#define MK_DSP_INSTRUCTIONS 0
#elif defined(__ARM_FEATURE_DSP) && __ARM_FEATURE_DSP && defined(__thumb2__) && defined(__ARM_FEATURE_UNALIGNED)
#define MK_DSP_INSTRUCTIONS 1
#else
#define MK_DSP_INSTRUCTIONS 0
#endif

#if MK_DSP_INSTRUCTIONS || defined(MK_DSP_EMULATED)
#define MK_DSP 1
#else
#define MK_DSP 0
#endif

/* Four bytes from any address, the first one lowest. */
static inline uint32_t mk_load_word(const int8_t *bytes)
{
    uint32_t word;
    memcpy(&word, bytes, sizeof word);
    return word;
}

static inline void mk_store_word(int8_t *bytes, uint32_t word)
{
    memcpy(bytes, &word, sizeof word);
}

/* `count` < 4 bytes, 0 behind them. */
static inline uint32_t mk_load_part_of_word(const int8_t *bytes, uint32_t count)
{
    uint32_t word = 0;
    for (uint32_t i = 0; i < count; ++i) {
        word |= (uint32_t)(uint8_t)bytes[i] << 8 * i;
    }
    return word;
}

/* Copies without a call: a few bytes at a time are all that windows need. */
static inline void mk_copy_bytes(int8_t *to, const int8_t *from, uint32_t count)
{
    if (count < 4) {
        for (uint32_t i = 0; i < count; ++i) {
            to[i] = from[i];
        }
        return;
    }
    /* The last word may overlap the one before it. */
    const uint32_t last = count - 4;
    for (uint32_t i = 0; i < last; i += 4) {
        mk_store_word(to + i, mk_load_word(from + i));
    }
    mk_store_word(to + last, mk_load_word(from + last));
}

#if MK_DSP_INSTRUCTIONS

#define MK_DSP_UNARY(name, instruction) \
    static inline uint32_t name(uint32_t a) \
    { \
        uint32_t result; \
        __asm__(instruction : "=r"(result) : "r"(a)); \
        return result; \
    }
#define MK_DSP_BINARY(name, instruction) \
    static inline uint32_t name(uint32_t a, uint32_t b) \
    { \
        uint32_t result; \
        __asm__(instruction : "=r"(result) : "r"(a), "r"(b)); \
        return result; \
    }
#define MK_DSP_ACCUMULATE(name, instruction) \
    static inline int32_t name(uint32_t a, uint32_t b, int32_t sum) \
    { \
        int32_t result; \
        __asm__(instruction : "=r"(result) : "r"(a), "r"(b), "r"(sum)); \
        return result; \
    }

MK_DSP_UNARY(mk_extend_even, "sxtb16 %0, %1")
MK_DSP_UNARY(mk_extend_odd, "sxtb16 %0, %1, ror #8")
MK_DSP_BINARY(mk_low_halves, "pkhbt %0, %1, %2, lsl #16")
MK_DSP_BINARY(mk_high_halves, "pkhtb %0, %2, %1, asr #16")
MK_DSP_BINARY(mk_subtract_pairs, "ssub16 %0, %1, %2")
MK_DSP_BINARY(mk_subtract_bytes, "ssub8 %0, %1, %2")
MK_DSP_BINARY(mk_add_even, "sxtab16 %0, %1, %2")
MK_DSP_BINARY(mk_add_odd, "sxtab16 %0, %1, %2, ror #8")
MK_DSP_BINARY(mk_add_unsigned_even, "uxtab16 %0, %1, %2")
MK_DSP_BINARY(mk_add_unsigned_odd, "uxtab16 %0, %1, %2, ror #8")
MK_DSP_BINARY(mk_add_byte_1, "uxtab %0, %1, %2, ror #8")
MK_DSP_BINARY(mk_add_byte_2, "uxtab %0, %1, %2, ror #16")
MK_DSP_ACCUMULATE(mk_multiply_pairs, "smlad %0, %1, %2, %3")
MK_DSP_ACCUMULATE(mk_multiply_low_high, "smlabt %0, %1, %2, %3")
MK_DSP_ACCUMULATE(mk_multiply_high_low, "smlatb %0, %1, %2, %3")

/* Subtractions leave behind which bytes were not smaller, SEL takes those: nothing may come in between. */
#define MK_DSP_LARGER(name, subtraction) \
    static inline uint32_t name(uint32_t a, uint32_t b) \
    { \
        uint32_t result; \
        __asm__(subtraction " %0, %1, %2\n\tsel %0, %1, %2" : "=&r"(result) : "r"(a), "r"(b) : "cc"); \
        return result; \
    }

MK_DSP_LARGER(mk_larger_bytes, "ssub8")
MK_DSP_LARGER(mk_larger_unsigned_bytes, "usub8")

/* `word` with `bits` bits of `value` at `position`; both are constants. */
#define MK_INSERT(word, value, position, bits) \
    __asm__("bfi %0, %1, %2, %3" : "+r"(word) : "r"(value), "I"(position), "I"(bits))

static inline int32_t mk_multiply_high_rounded(int32_t value, uint32_t doubled, int32_t once)
{
    int32_t result;
    __asm__("smmlar %0, %1, %2, %3" : "=r"(result) : "r"(value), "r"(doubled), "r"(once));
    return result;
}

/* A constant that stays in a register: as an immediate it would leave no room for a shift in the instruction. */
static inline uint32_t mk_in_register(uint32_t constant)
{
    __asm__("" : "+r"(constant));
    return constant;
}

/* `value` / 2, rounded down, as near as 8 bits come to it. */
static inline int32_t mk_halve_to_byte(int32_t value)
{
    int32_t result;
    __asm__("ssat %0, #8, %1, asr #1" : "=r"(result) : "r"(value));
    return result;
}

/* The same as near as fields of 4 or 2 bits, which have no sign, come to it. */
static inline int32_t mk_halve_to_4_bits(int32_t value)
{
    int32_t result;
    __asm__("usat %0, #4, %1, asr #1" : "=r"(result) : "r"(value));
    return result;
}

static inline int32_t mk_halve_to_2_bits(int32_t value)
{
    int32_t result;
    __asm__("usat %0, #2, %1, asr #1" : "=r"(result) : "r"(value));
    return result;
}

static inline int32_t mk_to_byte(int32_t value)
{
    int32_t result;
    __asm__("ssat %0, #8, %1" : "=r"(result) : "r"(value));
    return result;
}

static inline int32_t mk_to_half(int32_t value)
{
    int32_t result;
    __asm__("ssat %0, #16, %1" : "=r"(result) : "r"(value));
    return result;
}

#elif MK_DSP

static inline int32_t mk_low_half(uint32_t a)
{
    return (int16_t)(uint16_t)a;
}

static inline int32_t mk_high_half(uint32_t a)
{
    return (int16_t)(uint16_t)(a >> 16);
}

static inline uint32_t mk_low_halves(uint32_t a, uint32_t b)
{
    return (a & 0xFFFFu) | b << 16;
}

static inline uint32_t mk_high_halves(uint32_t a, uint32_t b)
{
    return a >> 16 | (b & 0xFFFF0000u);
}

static inline uint32_t mk_extend_even(uint32_t a)
{
    return mk_low_halves((uint32_t)(int32_t)(int8_t)(uint8_t)a, (uint32_t)(int32_t)(int8_t)(uint8_t)(a >> 16));
}

static inline uint32_t mk_extend_odd(uint32_t a)
{
    return mk_extend_even(a >> 8);
}

static inline uint32_t mk_subtract_pairs(uint32_t a, uint32_t b)
{
    return mk_low_halves(a - b, (a >> 16) - (b >> 16));
}

static inline uint32_t mk_subtract_bytes(uint32_t a, uint32_t b)
{
    /* The highest bit of each byte keeps what it would lend to itself. */
    const uint32_t highest = 0x80808080u;
    return ((a | highest) - (b & ~highest)) ^ ((a ^ ~b) & highest);
}

static inline uint32_t mk_add_even(uint32_t sums, uint32_t a)
{
    a = mk_extend_even(a);
    return mk_low_halves(sums + a, (sums >> 16) + (a >> 16));
}

static inline uint32_t mk_add_odd(uint32_t sums, uint32_t a)
{
    return mk_add_even(sums, a >> 8);
}

static inline uint32_t mk_add_unsigned_even(uint32_t sums, uint32_t a)
{
    return mk_low_halves(sums + (a & 0xFFu), (sums >> 16) + (a >> 16 & 0xFFu));
}

static inline uint32_t mk_add_unsigned_odd(uint32_t sums, uint32_t a)
{
    return mk_add_unsigned_even(sums, a >> 8);
}

static inline uint32_t mk_add_byte_1(uint32_t sum, uint32_t a)
{
    return sum + (a >> 8 & 0xFFu);
}

static inline uint32_t mk_add_byte_2(uint32_t sum, uint32_t a)
{
    return sum + (a >> 16 & 0xFFu);
}

/* For unsigned bytes flip is 0, for signed ones it inverts their signs. */
static inline uint32_t mk_larger_flipped(uint32_t a, uint32_t b, uint32_t flip)
{
    uint32_t result = 0;
    for (uint32_t mask = 0xFFu; mask != 0; mask <<= 8) {
        result |= ((a ^ flip) & mask) > ((b ^ flip) & mask) ? a & mask : b & mask;
    }
    return result;
}

static inline uint32_t mk_larger_bytes(uint32_t a, uint32_t b)
{
    return mk_larger_flipped(a, b, 0x80808080u);
}

static inline uint32_t mk_larger_unsigned_bytes(uint32_t a, uint32_t b)
{
    return mk_larger_flipped(a, b, 0);
}

#define MK_INSERT(word, value, position, bits) \
    ((word) = ((word) & ~(((1u << (bits)) - 1) << (position))) | \
              ((uint32_t)(value) & ((1u << (bits)) - 1)) << (position))

static inline int32_t mk_multiply_pairs(uint32_t a, uint32_t b, int32_t sum)
{
    return sum + mk_low_half(a) * mk_low_half(b) + mk_high_half(a) * mk_high_half(b);
}

static inline int32_t mk_multiply_low_high(uint32_t a, uint32_t b, int32_t sum)
{
    return sum + mk_low_half(a) * mk_high_half(b);
}

static inline int32_t mk_multiply_high_low(uint32_t a, uint32_t b, int32_t sum)
{
    return sum + mk_high_half(a) * mk_low_half(b);
}

static inline int32_t mk_multiply_high_rounded(int32_t value, uint32_t doubled, int32_t once)
{
    const int64_t product = (int64_t)value * (int32_t)doubled + ((int64_t)1 << 31);
    return (int32_t)((uint32_t)once + (uint32_t)((uint64_t)product >> 32));
}

static inline int32_t mk_to_byte(int32_t value)
{
    return mk_clamp(value, -128, 127);
}

static inline int32_t mk_to_half(int32_t value)
{
    return mk_clamp(value, -32768, 32767);
}

static inline int32_t mk_halve_to_byte(int32_t value)
{
    return mk_to_byte(value >> 1);
}

static inline uint32_t mk_in_register(uint32_t constant)
{
    return constant;
}

static inline int32_t mk_halve_to_4_bits(int32_t value)
{
    return mk_clamp(value >> 1, 0, 15);
}

static inline int32_t mk_halve_to_2_bits(int32_t value)
{
    return mk_clamp(value >> 1, 0, 3);
}

#endif

#if MK_DSP
/*
 * Above: mk_extend_even(a) are bytes 0 and 2 of a, signed, as two 16-bit values, mk_extend_odd(a) bytes 1 and 3.
 * mk_low_halves(a, b) is the low half of a, and above it that of b; mk_high_halves the same of their high halves.
 * mk_subtract_pairs is a - b of both halves, mk_subtract_bytes of all bytes. mk_add_even and mk_add_odd add two bytes
 * to two 16-bit sums, those named unsigned two unsigned bytes; mk_add_byte_1 and _2 add that byte, unsigned, to a sum.
 * mk_larger_bytes has the larger one of each two bytes. mk_multiply_pairs adds both products of two pairs to a sum, the
 * others one product: low_high is a's low with b's high.
 *
 * mk_multiply_high_rounded(value, doubled, once) is round(value * doubled / 2^32) + once, ties up, where `doubled` is
 * taken for a signed number. Twice a multiplier in [2^30, 2^31) is by 2^32 too small as that, which adding the value
 * once makes good.
 */

/*
 * mk_requantize and the zero point of the output in the fewest instructions: twice that, and perhaps 1 more. Large
 * values that a byte is not near to may come out smaller.
 * doubled: 2 * multiplier, which is at least 2^31, or 0 and then the shift is 0 too. offset: 2 * zero point + 1.
 * Shifts to the right round ties away from zero: one is taken off negative values, then half of the divisor added: by
 * shifting out all but the last bit, adding 1 (a part of `offset`) and leaving it to the caller to shift out that.
 */
static inline int32_t mk_requantize_twice(int32_t sum, uint32_t doubled, int shift, int32_t offset)
{
    if (shift >= 0) {
        const int32_t left = (int32_t)((uint32_t)sum << shift);
        const int32_t once = left & (int32_t)doubled >> 31;
        return 2 * mk_to_half(mk_multiply_high_rounded(left, doubled, once)) + offset;
    }
    int32_t value = mk_multiply_high_rounded(sum, doubled, sum);
    value += value >> 31;
    return (value >> (-shift - 1)) + offset;
}

/* The same as near as 8 bits come to it. */
static inline int8_t mk_requantize_to_byte(int32_t sum, uint32_t doubled, int shift, int32_t offset)
{
    if (shift >= 0) {
        const int32_t left = (int32_t)((uint32_t)sum << shift);
        const int32_t once = left & (int32_t)doubled >> 31;
        return (int8_t)mk_to_byte(mk_multiply_high_rounded(left, doubled, once) + (offset >> 1));
    }
    return (int8_t)mk_halve_to_byte(mk_requantize_twice(sum, doubled, shift, offset));
}

/* `value` / 2, rounded down, as near as a field of 4 or 2 bits, which has no sign, comes to it. */
static inline uint32_t mk_halve_to_field(int32_t value, uint32_t bits)
{
    return (uint32_t)mk_clamp(value >> 1, 0, (1 << bits) - 1);
}

/* Limits values that are bytes already, where an activation allows fewer than a byte holds. */
static inline void mk_limit_bytes(int8_t *values, uint32_t count, int32_t minimum, int32_t maximum)
{
    if (minimum > -128 || maximum < 127) {
        for (; count != 0; --count, ++values) {
            *values = (int8_t)mk_clamp(*values, minimum, maximum);
        }
    }
}
#endif

#endif
