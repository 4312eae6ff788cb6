/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Generated code brackets every computation of output rows of a layer with MK_LAYER_BEGIN and MK_LAYER_END. They vanish
 * unless MK_PROFILE is defined; then the application provides the two functions behind them. Kernels do not see this
 * header: they are the same with hooks and without.
 */
#ifndef MK_LAYER_HOOKS_H
#define MK_LAYER_HOOKS_H

#include "mcukit_nn.h"

#ifdef MK_PROFILE
void mk_layer_begin(uint16_t layer);
void mk_layer_end(uint16_t layer, const mk_map *output, uint16_t first_row, uint16_t last_row);
#define MK_LAYER_BEGIN(layer) mk_layer_begin(layer)
#define MK_LAYER_END(layer, output, first_row, last_row) mk_layer_end(layer, output, first_row, last_row)
#else
#define MK_LAYER_BEGIN(layer) ((void)(layer))
#define MK_LAYER_END(layer, output, first_row, last_row) \
    ((void)(layer), (void)(output), (void)(first_row), (void)(last_row))
#endif

#endif
