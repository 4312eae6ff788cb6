/* SPDX-License-Identifier: Apache-2.0 */
/* What generated models, kernels and applications share: feature maps and profiling hooks. */
#ifndef MCUKIT_NN_H
#define MCUKIT_NN_H

#include <stdint.h>

/*
 * A feature map, or the part of it that is held in memory. Every kernel keeps to these rules, on which plans rely:
 *
 * - The output may be a tile, some columns of rows in a wider buffer: no byte beside its columns is written. A tile of
 *   no columns leaves all memory as it is, scratch included.
 * - An input may be whole, a ring of fewer rows than the map has, or a tile, if it holds all that the computed rows
 *   need. Nothing else of it is read. Padding begins where the whole map ends, wherever the tile does.
 * - Rows are computed in ascending order, each one completely before the next. While row y is computed, no row after it
 *   is written, and no input row before the first one that row y needs is read: an output row may take the place of
 *   input rows that nothing will read again. A kernel that says so computes some rows of a call together, as if they
 *   were one: mk_depthwise_conv2d_s8_dsp.
 * - Scratch memory holds nothing from one call to the next: layers share it.
 */
typedef struct mk_map {
    int8_t  *data;            /* row y starts at data + (y % ring) * row_bytes */
    uint32_t row_bytes;       /* from one held row to the next: columns times bytes of a pixel, or more in a wider buffer */
    uint16_t ring;            /* rows held; equal to height when the map is whole */
    uint16_t first_column;    /* first column held (0 unless the map is a tile) */
    uint16_t columns;         /* columns held (width unless the map is a tile) */
    uint16_t height;          /* of the whole logical map, as are the next three */
    uint16_t width;
    uint16_t channels;
    uint16_t bits;            /* 8; or 4 or 2, where values are packed: see below */
} mk_map;

/*
 * Values of 4 and 2 bits are packed: the first channel of a pixel lies in the lowest bits of its first byte, and every
 * pixel begins at a byte. A value is stored as its distance from the smallest one of its width: a 4-bit -8 is 0, a 4-bit
 * 7 is 15. Bits behind the last channel are 0.
 */
#define MK_PIXEL_BYTES(channels_, bits_) (((uint32_t)(channels_) * (bits_) + 7) / 8)

/* A map of which every row and column is held, at `data`. */
#define MK_WHOLE_MAP(data_, height_, width_, channels_, bits_) \
    { \
        .data = (data_), .row_bytes = (width_) * MK_PIXEL_BYTES(channels_, bits_), .ring = (height_), .first_column = 0, \
        .columns = (width_), .height = (height_), .width = (width_), .channels = (channels_), \
        .bits = (bits_) \
    }

/* A map of which `rows_` rows are held at a time. */
#define MK_RING_MAP(data_, rows_, height_, width_, channels_, bits_) \
    { \
        .data = (data_), .row_bytes = (width_) * MK_PIXEL_BYTES(channels_, bits_), .ring = (rows_), .first_column = 0, \
        .columns = (width_), .height = (height_), .width = (width_), .channels = (channels_), \
        .bits = (bits_) \
    }

/* Columns [first_column_, first_column_ + columns_) of a map, `rows_` rows of them at a time, `row_bytes_` apart. */
#define MK_TILE_MAP(data_, row_bytes_, rows_, first_column_, columns_, height_, width_, channels_, bits_) \
    { \
        .data = (data_), .row_bytes = (row_bytes_), .ring = (rows_), .first_column = (first_column_), \
        .columns = (columns_), .height = (height_), .width = (width_), .channels = (channels_), \
        .bits = (bits_) \
    }

/* Input rows [0, result) are enough for a layer's output row: a window of `stride` ends `offset` rows after its first row. */
static inline int32_t mk_rows_needed(uint16_t row, uint16_t stride, int32_t offset, uint16_t height)
{
    const int32_t needed = (int32_t)row * stride + offset;
    return needed < (int32_t)height ? needed : (int32_t)height;
}

/*
 * Where generated code puts its arena and its weights. Linker scripts place these sections; where one does not know
 * them, they end up with all other zeroed and constant data.
 */
#ifndef MK_ARENA
#define MK_ARENA __attribute__((section(".bss.mcukit_arena"), aligned(16)))
#endif
#ifndef MK_ARENA_IN
#define MK_ARENA_IN(region) __attribute__((section(".bss.mcukit_arena." #region), aligned(16)))
#endif
#ifndef MK_WEIGHTS
#define MK_WEIGHTS __attribute__((section(".rodata.mcukit_weights"), aligned(4)))
#endif
#ifndef MK_WEIGHTS_IN
#define MK_WEIGHTS_IN(region) __attribute__((section(".rodata.mcukit_weights." #region), aligned(4)))
#endif

/* C99 has no _Static_assert: an array of negative size does not compile. */
#define MK_STATIC_ASSERT(condition, name) typedef char mk_assert_##name[(condition) ? 1 : -1]

#endif
