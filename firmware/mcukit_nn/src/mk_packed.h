/* SPDX-License-Identifier: Apache-2.0 */
/* Pixels of 8, 4 and 2 bits, in and out of memory. Not part of the public interface. */
#ifndef MK_PACKED_H
#define MK_PACKED_H

#include "mk_common.h"

/* The smallest value of a width is stored as 0: what is stored is the value plus this. 8-bit values are stored as they are. */
static inline int32_t mk_packed_offset(uint32_t bits)
{
    return bits == 8 ? 0 : (int32_t)(1u << (bits - 1));
}

/* `channels` values of a pixel as they are meant: from -8 to 7 for 4 bits. bits: 8, 4 or 2. */
void mk_unpack(const int8_t *pixel, uint32_t channels, uint32_t bits, int8_t *values);

/*
 * The same as they are stored: from 0 to 15 for 4 bits. Where they are only multiplied and summed, the offset can be a
 * part of a constant that is added anyway.
 */
void mk_unpack_stored(const int8_t *pixel, uint32_t channels, uint32_t bits, int8_t *values);

/* Values, which fit `bits`, into a pixel. Every byte of it is written; bits behind the last channel become 0. */
void mk_pack(const int8_t *values, uint32_t channels, uint32_t bits, int8_t *pixel);

#endif
