/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The network behind the protocol: takes its input in pieces, runs, and says what each layer took.
 *
 * With MCUKIT_KEEPS_INPUT (the default) the input lies in a buffer of its own and serves any number of inferences.
 * Without, it is written where the network reads it, which costs no RAM; as layers write over it, one input serves one
 * inference. A network whose input is pushed then computes each row as it arrives.
 */
#ifndef MCUKIT_SERIAL_NETWORK_H
#define MCUKIT_SERIAL_NETWORK_H

#include <stdint.h>

#include "mcukit_model.h"
#include "trace_rows.h"

#ifndef MCUKIT_KEEPS_INPUT
#define MCUKIT_KEEPS_INPUT 1
#endif

#define NETWORK_COMPUTES_ON_ARRIVAL (MCUKIT_INPUT_IS_PUSHED && !MCUKIT_KEEPS_INPUT)

void network_start(void);

/* Drops the input and the output. The rows that layers compute from the next input go to trace, if it is not null. */
void network_begin_input(trace_sink trace);

/* Appends to the input; count may not exceed what is missing of it. */
void     network_add_input(const uint8_t *bytes, uint32_t count);
uint32_t network_input_held(void);   /* bytes of it that have arrived */
uint32_t network_input_crc(void);    /* of these, as they lie in memory */

/* The input's bytes, or null if they do not lie in memory any more. */
const int8_t *network_input(void);

/* Whether an inference can run: all of the input is there and has not been used up. */
int  network_is_ready(void);
void network_infer(void);

/* Whether mcukit_output() is that of the input that was given last. */
int network_has_output(void);

/* Of the last inference, without the time that tracing took. Layers are measured where MK_PROFILE is defined. */
uint64_t network_ticks(void);
uint32_t network_layer_ticks(uint16_t layer);

#endif
