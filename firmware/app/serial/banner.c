/* SPDX-License-Identifier: Apache-2.0 */
#include "banner.h"

#include "session.h"

#ifndef MCUKIT_MODEL_HASH
#define MCUKIT_MODEL_HASH "unknown"
#endif
#ifndef MCUKIT_KERNELS
#define MCUKIT_KERNELS "unknown"
#endif
#ifndef MCUKIT_COMPILER_FLAGS
#define MCUKIT_COMPILER_FLAGS "unknown"
#endif

#if defined(__clang__)
#define COMPILER __VERSION__
#elif defined(__GNUC__)
#define COMPILER "GCC " __VERSION__
#else
#define COMPILER "unknown"
#endif

const char banner_text[] =
    "protocol=" BANNER_STRING(SESSION_PROTOCOL_VERSION) "\n"
    "board=" MCUKIT_BOARD "\n"
    "model=" BANNER_STRING(MCUKIT_MODEL) "\n"
    "model_hash=" MCUKIT_MODEL_HASH "\n"
    "kernels=" MCUKIT_KERNELS "\n"
    "layer_kernels=" MCUKIT_LAYER_KERNELS "\n"
    "compiler=" COMPILER "\n"
    "compiler_flags=" MCUKIT_COMPILER_FLAGS "\n"
    "arena_bytes=" BANNER_STRING(MCUKIT_ARENA_BYTES) "\n";

const uint16_t banner_bytes = sizeof banner_text - 1;
