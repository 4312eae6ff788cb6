/* SPDX-License-Identifier: Apache-2.0 */
/* What batch.c knows of each generated model that is linked to it. */
#ifndef BATCH_H
#define BATCH_H

#include <stdint.h>

typedef struct batch_output {
    const int8_t *(*get)(void);
    uint32_t bytes;
} batch_output;

typedef struct batch_model {
    const char *name; /* what its files are called */
    int8_t  *arena;
    uint32_t arena_bytes;
    uint32_t input_bytes;
    void (*init)(void);
    int8_t *(*input)(void); /* this and invoke, or the next three */
    void (*invoke)(void);
    uint32_t row_bytes;
    int (*push_row)(const int8_t *row);
    int8_t *(*next_row)(void);
    const batch_output *outputs;
    uint32_t output_count;
} batch_model;

extern const batch_model *const batch_models[];
extern const uint32_t batch_model_count;

#endif
