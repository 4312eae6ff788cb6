/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs generated models, those from number argv[1] on, one after the other. Built with the address sanitizer.
 *
 * Model NAME runs on every input in NAME.inputs. NAME.trace gets the rows that its layers compute, in the records of
 * firmware/app/runner.c, and NAME.outputs the outputs; NAME.done is there once all went well, with the arena's size.
 *
 * NAME.alive, if there is one, says which bytes of the arena are in use, state by state: while the input is written
 * (or, where rows are pushed, before the first one), in each step of the inference, and after it. A step is a kernel
 * call or the arrival of a pushed row. All in little-endian words: the number of states, and for each the number of
 * ranges and the first and last offsets of these. All else is filled with noise that must stay as it is, and poisoned:
 * the sanitizer stops the program where it is touched. Its shadow memory can't protect bytes that share eight aligned
 * ones with a byte in use behind them; the noise is exact.
 */
#include <sanitizer/asan_interface.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "batch.h"
#include "mk_layer_hooks.h"

static const batch_model *model;
static FILE    *trace;
static uint32_t inference;
static int      is_rehearsal; /* nothing is traced */

static uint32_t *alive; /* contents of NAME.alive, or null */
static uint32_t *state; /* in `alive` */
static uint32_t *next_state;
static uint32_t  states_left;
static uint8_t  *in_use; /* of each byte of the arena */
static int8_t   *noise;
static uint32_t  noise_seed;

static void fail(const char *reason, uint32_t number)
{
    fprintf(stderr, "%s: %s %lu\n", model->name, reason, (unsigned long)number);
    exit(1);
}

static FILE *open_file(const char *ending, const char *mode)
{
    char path[64];
    snprintf(path, sizeof path, "%s.%s", model->name, ending);
    return fopen(path, mode);
}

/* All of a file in memory of exactly its size, so that reading behind its end is noticed; null if there is none. */
static void *read_file(const char *ending, uint32_t *bytes)
{
    FILE *const file = open_file(ending, "rb");
    void *content = NULL;
    *bytes = 0;
    if (file != NULL) {
        fseek(file, 0, SEEK_END);
        *bytes = (uint32_t)ftell(file);
        rewind(file);
        content = malloc(*bytes);
        if (fread(content, 1, *bytes, file) != *bytes) {
            fail("could not read bytes:", *bytes);
        }
        fclose(file);
    }
    return content;
}

/* The state that ends was not allowed to write to any byte that was not in use. */
static void check_noise(void)
{
    ASAN_UNPOISON_MEMORY_REGION(model->arena, model->arena_bytes);
    for (uint32_t offset = 0; offset < model->arena_bytes; offset++) {
        if (!in_use[offset] && model->arena[offset] != noise[offset]) {
            fail("overwritten while not in use: arena +", offset);
        }
    }
}

static void make_noise(uint32_t offset)
{
    noise_seed = noise_seed * 1664525u + 1013904223u;
    noise[offset] = (int8_t)((int32_t)(noise_seed >> 24) - 128);
    model->arena[offset] = noise[offset];
}

static void enter_state(void)
{
    if (alive == NULL) {
        return;
    }
    if (states_left == 0) {
        fail("takes more steps than planned in inference", inference);
    }
    check_noise();
    memset(in_use, 0, model->arena_bytes);
    state = next_state;
    const uint32_t ranges = *next_state++;
    for (uint32_t i = 0; i < ranges; i++, next_state += 2) {
        memset(in_use + next_state[0], 1, next_state[1] - next_state[0]);
    }
    states_left--;
    for (uint32_t offset = 0; offset < model->arena_bytes; offset++) {
        if (!in_use[offset]) {
            make_noise(offset);
        }
    }
    for (uint32_t offset = 0; offset < model->arena_bytes; offset++) {
        uint32_t end = offset;
        while (end < model->arena_bytes && !in_use[end]) {
            end++;
        }
        if (end > offset) {
            ASAN_POISON_MEMORY_REGION(model->arena + offset, end - offset);
            offset = end;
        }
    }
}

static void begin_states(void)
{
    if (alive != NULL) {
        ASAN_UNPOISON_MEMORY_REGION(model->arena, model->arena_bytes);
        memset(in_use, 1, model->arena_bytes);
        next_state = alive + 1;
        states_left = alive[0];
    }
    enter_state();
}

/* A call without any pixels is no step: what follows is entered again. */
static void leave_state(void)
{
    if (alive != NULL) {
        next_state = state;
        states_left++;
    }
}

void mk_layer_begin(uint16_t layer)
{
    (void)layer;
    enter_state();
}

void mk_layer_end(uint16_t layer, const mk_map *output, uint16_t first_row, uint16_t last_row)
{
    const uint32_t tile_row_bytes = output->columns * MK_PIXEL_BYTES(output->channels, output->bits);
    if (last_row - first_row > output->ring) {
        first_row = (uint16_t)(last_row - output->ring); /* rows that nobody reads have made way for later ones */
    }
    const uint32_t record[9] = {inference,      layer,
                                first_row,      last_row,
                                output->first_column, output->columns,
                                output->height, output->width,
                                (last_row - first_row) * tile_row_bytes};
    if (first_row == last_row || output->columns == 0) {
        leave_state();
        return;
    }
    if (is_rehearsal) {
        return;
    }
    fwrite(record, sizeof record, 1, trace);
    for (uint32_t row = first_row; row < last_row; row++) {
        fwrite(output->data + (row % output->ring) * output->row_bytes, 1, tile_row_bytes, trace);
    }
}

/* Pushes rows up to `last_row`, from where they are or, in place, from where the model wants them. */
static void push_rows(const int8_t *input, uint32_t last_row, int in_place)
{
    const uint32_t rows = model->input_bytes / model->row_bytes;
    for (uint32_t row = 0; row < last_row; row++) {
        int8_t *const copy = malloc(model->row_bytes);
        enter_state();
        memcpy(in_place ? model->next_row() : copy, input + row * model->row_bytes, model->row_bytes);
        if (model->push_row(in_place ? model->next_row() : copy) != (row + 1 == rows)) {
            fail("finished early or late, at row", row);
        }
        free(copy);
    }
}

static void infer(const int8_t *input)
{
    if (model->push_row == NULL) {
        begin_states();
        memcpy(model->input(), input, model->input_bytes);
        model->invoke();
        return;
    }
    /* A picture of which half arrives, and that is then dropped. */
    is_rehearsal = 1;
    begin_states();
    push_rows(input, model->input_bytes / model->row_bytes / 2, inference % 2 == 0);
    model->init();
    is_rehearsal = 0;
    begin_states();
    push_rows(input, model->input_bytes / model->row_bytes, inference % 2 == 1);
}

static void write_outputs(FILE *file)
{
    enter_state();
    if (states_left > 0) {
        fail("takes fewer steps than planned, by", states_left);
    }
    for (uint32_t i = 0; i < model->output_count; i++) {
        fwrite(model->outputs[i].get(), 1, model->outputs[i].bytes, file);
    }
}

static void run(void)
{
    uint32_t bytes, alive_bytes;
    int8_t *const inputs = read_file("inputs", &bytes);
    FILE   *const outputs = open_file("outputs", "wb");
    trace = open_file("trace", "wb");
    alive = read_file("alive", &alive_bytes);
    in_use = malloc(model->arena_bytes);
    noise = malloc(model->arena_bytes);
    model->init();
    for (inference = 0; inference < bytes / model->input_bytes; inference++) {
        states_left = 0;
        infer(inputs + inference * model->input_bytes);
        write_outputs(outputs);
    }
    if (alive != NULL) {
        check_noise();
    }
    free(inputs);
    free(alive);
    free(in_use);
    free(noise);
    fclose(outputs);
    fclose(trace);
    FILE *const done = open_file("done", "wb");
    fprintf(done, "%lu", (unsigned long)model->arena_bytes);
    fclose(done);
}

int main(int argc, char **argv)
{
    for (uint32_t i = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 0; i < batch_model_count; i++) {
        model = batch_models[i];
        run();
    }
    return 0;
}
