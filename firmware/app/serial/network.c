/* SPDX-License-Identifier: Apache-2.0 */
#include "network.h"

#include <string.h>

#include "clock.h"
#include "frame.h"
#include "mk_layer_hooks.h"

static trace_sink trace;
static uint32_t   held;          /* bytes of the input that have arrived */
static int        is_spent;      /* whether the network has written over its input */
static int        has_output;
static uint64_t   ticks;

#ifdef MK_PROFILE
static uint64_t layer_began;
static uint32_t layer_ticks[MCUKIT_LAYERS + 1];   /* C has no arrays of no elements */
#endif

#if NETWORK_COMPUTES_ON_ARRIVAL
static uint32_t arrived_crc;
static uint32_t row_bytes_held;
#elif MCUKIT_KEEPS_INPUT
static int8_t kept_input[MCUKIT_INPUT_BYTES];
#define input_place() kept_input
#else
#define input_place mcukit_input
#endif

void network_start(void)
{
    mcukit_init();
    network_begin_input(0);
}

void network_begin_input(trace_sink sink)
{
    trace = sink;
    held = 0;
    is_spent = 0;
    has_output = 0;
    ticks = 0;
#ifdef MK_PROFILE
    memset(layer_ticks, 0, sizeof layer_ticks);
#endif
#if NETWORK_COMPUTES_ON_ARRIVAL
    arrived_crc = 0;
    row_bytes_held = 0;
#endif
#if MCUKIT_INPUT_IS_PUSHED
    mcukit_init();
#endif
}

#if NETWORK_COMPUTES_ON_ARRIVAL
static void push_held_row(void)
{
    const uint64_t began = clock_ticks();
    (void)mcukit_push_row(mcukit_next_row());
    ticks += clock_ticks() - began;
    row_bytes_held = 0;
}

void network_add_input(const uint8_t *bytes, uint32_t count)
{
    arrived_crc = frame_crc(arrived_crc, bytes, count);
    held += count;
    while (count > 0) {
        const uint32_t missing = MCUKIT_INPUT_ROW_BYTES - row_bytes_held;
        const uint32_t taken = count < missing ? count : missing;
        memcpy(mcukit_next_row() + row_bytes_held, bytes, taken);
        row_bytes_held += taken;
        bytes += taken;
        count -= taken;
        if (row_bytes_held == MCUKIT_INPUT_ROW_BYTES) {
            push_held_row();
        }
    }
}

uint32_t network_input_crc(void)
{
    return arrived_crc;
}

const int8_t *network_input(void)
{
    return 0;
}

static void run(void)
{
}
#else
void network_add_input(const uint8_t *bytes, uint32_t count)
{
    memcpy(input_place() + held, bytes, count);
    held += count;
}

uint32_t network_input_crc(void)
{
    return frame_crc(0, (const uint8_t *)input_place(), held);
}

const int8_t *network_input(void)
{
    return is_spent ? 0 : input_place();
}

static void run(void)
{
#if MCUKIT_KEEPS_INPUT && !MCUKIT_INPUT_IS_PUSHED
    memcpy(mcukit_input(), kept_input, MCUKIT_INPUT_BYTES);
#endif
    const uint64_t began = clock_ticks();
    ticks = 0;
#if MCUKIT_INPUT_IS_PUSHED
    for (const int8_t *row = kept_input; !mcukit_push_row(row); row += MCUKIT_INPUT_ROW_BYTES) {
    }
#else
    mcukit_invoke();
#endif
    ticks += clock_ticks() - began;
}
#endif

uint32_t network_input_held(void)
{
    return held;
}

int network_is_ready(void)
{
    return held == MCUKIT_INPUT_BYTES && !is_spent;
}

void network_infer(void)
{
#if defined(MK_PROFILE) && !NETWORK_COMPUTES_ON_ARRIVAL
    memset(layer_ticks, 0, sizeof layer_ticks);
#endif
    run();
    is_spent = !MCUKIT_KEEPS_INPUT;
    has_output = 1;
}

int network_has_output(void)
{
    return has_output;
}

uint64_t network_ticks(void)
{
    return ticks;
}

#ifdef MK_PROFILE
uint32_t network_layer_ticks(uint16_t layer)
{
    return layer_ticks[layer];
}

void mk_layer_begin(uint16_t layer)
{
    (void)layer;
    layer_began = clock_ticks();
}

void mk_layer_end(uint16_t layer, const mk_map *output, uint16_t first_row, uint16_t last_row)
{
    const uint64_t ended = clock_ticks();
    if (layer + 1u <= MCUKIT_LAYERS) { /* written so that it is no tautology for a network without layers */
        layer_ticks[layer] += (uint32_t)(ended - layer_began);
    }
    if (trace) {
        trace_rows(trace, 0, layer, output, first_row, last_row);
        ticks -= clock_ticks() - ended;   /* of the time that will be added when the network is done */
    }
}
#else
uint32_t network_layer_ticks(uint16_t layer)
{
    (void)layer;
    return 0;
}
#endif
