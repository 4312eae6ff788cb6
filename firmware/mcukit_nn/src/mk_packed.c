/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes are taken apart whole, so that no shift depends on the position of a channel. */
#include "mk_packed.h"

#include <string.h>

static void unpack(const int8_t *pixel, uint32_t channels, uint32_t bits, int32_t offset, int8_t *values)
{
    const uint8_t *packed = (const uint8_t *)pixel;
    if (bits == 4) {
        for (; channels >= 2; channels -= 2, values += 2) {
            const uint32_t byte = *packed++;
            values[0] = (int8_t)((int32_t)(byte & 15) - offset);
            values[1] = (int8_t)((int32_t)(byte >> 4) - offset);
        }
    } else {
        for (; channels >= 4; channels -= 4, values += 4) {
            const uint32_t byte = *packed++;
            values[0] = (int8_t)((int32_t)(byte & 3) - offset);
            values[1] = (int8_t)((int32_t)(byte >> 2 & 3) - offset);
            values[2] = (int8_t)((int32_t)(byte >> 4 & 3) - offset);
            values[3] = (int8_t)((int32_t)(byte >> 6) - offset);
        }
    }
    if (channels != 0) {
        uint32_t byte = *packed;
        for (; channels != 0; --channels, byte >>= bits) {
            *values++ = (int8_t)((int32_t)(byte & ((1u << bits) - 1)) - offset);
        }
    }
}

void mk_unpack(const int8_t *pixel, uint32_t channels, uint32_t bits, int8_t *values)
{
    if (bits == 8) {
        memcpy(values, pixel, channels);
    } else {
        unpack(pixel, channels, bits, mk_packed_offset(bits), values);
    }
}

void mk_unpack_stored(const int8_t *pixel, uint32_t channels, uint32_t bits, int8_t *values)
{
    if (bits == 8) {
        memcpy(values, pixel, channels);
    } else {
        unpack(pixel, channels, bits, 0, values);
    }
}

void mk_pack(const int8_t *values, uint32_t channels, uint32_t bits, int8_t *pixel)
{
    if (bits == 8) {
        memcpy(pixel, values, channels);
        return;
    }
    const int32_t offset = mk_packed_offset(bits);
    uint8_t *packed = (uint8_t *)pixel;
    if (bits == 4) {
        for (; channels >= 2; channels -= 2, values += 2) {
            *packed++ = (uint8_t)((values[0] + offset) | (values[1] + offset) * 16);
        }
    } else {
        for (; channels >= 4; channels -= 4, values += 4) {
            *packed++ = (uint8_t)((values[0] + offset) | (values[1] + offset) * 4 | (values[2] + offset) * 16 |
                                  (values[3] + offset) * 64);
        }
    }
    if (channels != 0) {
        uint32_t byte = 0;
        for (uint32_t channel = channels; channel != 0; --channel) {
            byte = byte << bits | (uint32_t)(values[channel - 1] + offset);
        }
        *packed = (uint8_t)byte;
    }
}
