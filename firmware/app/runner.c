/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a model on every input of input.bin and writes the outputs to output.bin, on any port.
 *
 * With MK_PROFILE the instructions of each layer are counted apart; with MCUKIT_TRACE as well, the rows that each
 * layer computed are written to trace.bin, as records that trace_rows.h describes.
 *
 * result.bin says how the run went, in little-endian words: inputs run, MCUKIT_ARENA_BYTES, stack bytes of the
 * deepest inference. The latter include what writing a trace takes; the hooks themselves take none.
 */
#include <stdint.h>

#include "mk_layer_hooks.h"
#include "mcukit_model.h"
#include "port.h"
#ifdef MCUKIT_TRACE
#include "trace_rows.h"
#endif

/* Regions of counted instructions. The layers follow REGION_INVOKE, and then comes REGION_FINISHED. */
enum {
    REGION_OUTSIDE = 0,                         /* between inferences, and while a trace is written */
    REGION_INVOKE = 1,                          /* in an inference, outside of its layers */
    REGION_LAYER = 2,                           /* and onwards: layers */
    REGION_FINISHED = 2 + MCUKIT_LAYERS,        /* ends an inference */
    REGIONS
};

/* A store to element i switches to region i: the emulator watches the addresses of stores made below. */
volatile uint8_t mk_regions[REGIONS];

static void require(int condition, int exit_code)
{
    if (!condition) {
        port_exit(exit_code);
    }
}

static void write_all(port_file file, const void *bytes, uint32_t count)
{
    require(port_write(file, bytes, count) == count, PORT_EXIT_IO);
}

#if MCUKIT_INPUT_IS_PUSHED
static int8_t pushed_input[MCUKIT_INPUT_BYTES];

static int8_t *input_place(void)
{
    return pushed_input;
}

/* Stands for the application, which would push rows as they arrive. */
static void infer(void)
{
    for (const int8_t *row = pushed_input; !mcukit_push_row(row); row += MCUKIT_INPUT_ROW_BYTES) {
    }
}
#else
#define input_place mcukit_input
#define infer       mcukit_invoke
#endif

PORT_UNCOUNTED static uint32_t measured_invoke(void)
{
    port_stack_paint();
    mk_regions[REGION_INVOKE] = 0;
    infer();
    mk_regions[REGION_FINISHED] = 0;
    return port_stack_used();
}

#ifdef MK_PROFILE
#ifdef MCUKIT_TRACE
static port_file trace;
static uint32_t  input_index;

static void write_trace(const void *bytes, uint32_t count)
{
    write_all(trace, bytes, count);
}
#endif

PORT_UNCOUNTED void mk_layer_begin(uint16_t layer)
{
    if (layer + 1u > MCUKIT_LAYERS) { /* written so that it is no tautology for a network without layers */
        port_exit(PORT_EXIT_LAYER);
    }
    mk_regions[REGION_LAYER + layer] = 0;
}

PORT_UNCOUNTED void mk_layer_end(uint16_t layer, const mk_map *output, uint16_t first_row, uint16_t last_row)
{
#ifdef MCUKIT_TRACE
    mk_regions[REGION_OUTSIDE] = 0;
    trace_rows(write_trace, input_index, layer, output, first_row, last_row);
#else
    (void)layer;
    (void)output;
    (void)first_row;
    (void)last_row;
#endif
    mk_regions[REGION_INVOKE] = 0;
}
#endif

int main(void)
{
    const port_file input = port_open_read("input.bin");
    const port_file output = port_open_write("output.bin");
    uint32_t result[3] = {0, MCUKIT_ARENA_BYTES, 0};
    uint32_t count;

    require(input >= 0 && output >= 0, PORT_EXIT_IO);
#ifdef MCUKIT_TRACE
    trace = port_open_write("trace.bin");
    require(trace >= 0, PORT_EXIT_IO);
#endif
    mcukit_init();
    while ((count = port_read(input, input_place(), MCUKIT_INPUT_BYTES)) == MCUKIT_INPUT_BYTES) {
        const uint32_t stack_bytes = measured_invoke();
        if (stack_bytes > result[2]) {
            result[2] = stack_bytes;
        }
        write_all(output, mcukit_output(), MCUKIT_OUTPUT_BYTES);
        result[0]++;
#ifdef MCUKIT_TRACE
        input_index = result[0];
#endif
    }
    require(count == 0, PORT_EXIT_IO);
    port_close(input);
    port_close(output);
#ifdef MCUKIT_TRACE
    port_close(trace);
#endif
    {
        const port_file file = port_open_write("result.bin");
        require(file >= 0, PORT_EXIT_IO);
        write_all(file, result, sizeof result);
        port_close(file);
    }
    port_exit(PORT_EXIT_OK);
    return 0;
}
