/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lets one application serve any generated model. Compile with, for a model called vww:
 *     -DMCUKIT_MODEL_HEADER="vww.h" -DMCUKIT_MODEL=vww -DMCUKIT_MODEL_MACROS=VWW
 * or with a header mcukit_project.h that defines all of these.
 */
#ifndef MCUKIT_MODEL_ADAPTER_H
#define MCUKIT_MODEL_ADAPTER_H

#ifndef MCUKIT_MODEL_HEADER
#include "mcukit_project.h"
#endif

#include MCUKIT_MODEL_HEADER

#define MCUKIT_PASTE_(prefix, suffix) prefix##suffix
#define MCUKIT_PASTE(prefix, suffix) MCUKIT_PASTE_(prefix, suffix)

#define MCUKIT_ARENA_BYTES     MCUKIT_PASTE(MCUKIT_MODEL_MACROS, _ARENA_BYTES)
#define MCUKIT_INPUT_BYTES     MCUKIT_PASTE(MCUKIT_MODEL_MACROS, _INPUT_BYTES)
#define MCUKIT_INPUT_ROW_BYTES MCUKIT_PASTE(MCUKIT_MODEL_MACROS, _INPUT_ROW_BYTES)
#define MCUKIT_INPUT_IS_PUSHED MCUKIT_PASTE(MCUKIT_MODEL_MACROS, _INPUT_IS_PUSHED)
#define MCUKIT_OUTPUT_BYTES    MCUKIT_PASTE(MCUKIT_MODEL_MACROS, _OUTPUT_BYTES)
#define MCUKIT_LAYERS          MCUKIT_PASTE(MCUKIT_MODEL_MACROS, _LAYERS)
#define MCUKIT_LAYER_KERNELS   MCUKIT_PASTE(MCUKIT_MODEL_MACROS, _LAYER_KERNELS)

#define MCUKIT_OUTPUT_SCALE      MCUKIT_PASTE(MCUKIT_MODEL_MACROS, _OUTPUT_SCALE)
#define MCUKIT_OUTPUT_ZERO_POINT MCUKIT_PASTE(MCUKIT_MODEL_MACROS, _OUTPUT_ZERO_POINT)

#define mcukit_init     MCUKIT_PASTE(MCUKIT_MODEL, _init)
#define mcukit_output   MCUKIT_PASTE(MCUKIT_MODEL, _output)
#if MCUKIT_INPUT_IS_PUSHED
#define mcukit_next_row MCUKIT_PASTE(MCUKIT_MODEL, _next_row)
#define mcukit_push_row MCUKIT_PASTE(MCUKIT_MODEL, _push_row)
#else
#define mcukit_input    MCUKIT_PASTE(MCUKIT_MODEL, _input)
#define mcukit_invoke   MCUKIT_PASTE(MCUKIT_MODEL, _invoke)
#endif

#endif
