/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What this firmware is: lines of KEY=VALUE. A build defines MCUKIT_BOARD, MCUKIT_MODEL_HASH (SHA-256 of the
 * generated C, in hexadecimal digits), MCUKIT_KERNELS and MCUKIT_COMPILER_FLAGS as strings.
 */
#ifndef MCUKIT_SERIAL_BANNER_H
#define MCUKIT_SERIAL_BANNER_H

#include <stdint.h>

#include "mcukit_model.h"

#ifndef MCUKIT_BOARD
#define MCUKIT_BOARD "unknown"
#endif

/* The name that text commands give the network; the public benchmark knows vww01, ic01, kws01 and ad01. */
#ifndef MCUKIT_TEXT_MODEL
#define MCUKIT_TEXT_MODEL BANNER_STRING(MCUKIT_MODEL)
#endif

#define BANNER_STRING_(value) #value
#define BANNER_STRING(value) BANNER_STRING_(value)

extern const char     banner_text[];
extern const uint16_t banner_bytes;   /* without the zero at its end */

#endif
