/* SPDX-License-Identifier: Apache-2.0 */
/* What generated models, kernels and applications share: feature maps and profiling hooks. */
#ifndef MCUKIT_NN_H
#define MCUKIT_NN_H

#include <stdint.h>

/* A feature map, or the part of it that is held in memory. */
typedef struct mk_map {
    int8_t  *data;            /* row y starts at data + (y % ring) * row_bytes */
    uint32_t row_bytes;       /* bytes of one held row: columns * channels for 8-bit maps */
    uint16_t ring;            /* rows held; equal to height when the map is whole */
    uint16_t first_column;    /* first column held (0 unless the map is a tile) */
    uint16_t columns;         /* columns held (width unless the map is a tile) */
    uint16_t height;          /* of the whole logical map, as are the next two */
    uint16_t width;
    uint16_t channels;
} mk_map;

/* A map of which every row and column is held, at `data`. */
#define MK_WHOLE_MAP(data_, height_, width_, channels_) \
    { \
        .data = (data_), .row_bytes = (uint32_t)(width_) * (channels_), .ring = (height_), .first_column = 0, \
        .columns = (width_), .height = (height_), .width = (width_), .channels = (channels_) \
    }

/*
 * Generated code brackets every computation of output rows of a layer with these two. They vanish unless
 * MK_PROFILE is defined; then the application provides the two functions behind them.
 */
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

/*
 * Where generated code puts its arena and its weights. Linker scripts place these sections; where one does not know
 * them, they end up with all other zeroed and constant data.
 */
#ifndef MK_ARENA
#define MK_ARENA __attribute__((section(".bss.mcukit_arena"), aligned(16)))
#endif
#ifndef MK_WEIGHTS
#define MK_WEIGHTS __attribute__((section(".rodata.mcukit_weights"), aligned(4)))
#endif

/* C99 has no _Static_assert: an array of negative size does not compile. */
#define MK_STATIC_ASSERT(condition, name) typedef char mk_assert_##name[(condition) ? 1 : -1]

#endif
