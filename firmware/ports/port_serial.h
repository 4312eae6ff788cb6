/* SPDX-License-Identifier: Apache-2.0 */
/* What the serial application needs from a board: a serial line and a counter. A port is one file with these. */
#ifndef MCUKIT_PORT_SERIAL_H
#define MCUKIT_PORT_SERIAL_H

#include <stdint.h>

/* Bits per second, 8 data bits, no parity, one stop bit. The public benchmark wants 9,600 when it measures energy. */
#ifndef MCUKIT_BAUD
#ifdef MCUKIT_ENERGY_MODE
#define MCUKIT_BAUD 9600
#else
#define MCUKIT_BAUD 115200
#endif
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Starts the serial line and the counter. Called once, before all others. */
void port_serial_init(void);

/* The next byte that arrived, or -1 if there is none yet. Does not wait. Bytes may be lost while no one reads. */
int port_serial_read(void);

/* Sends all bytes; returns once they are in the hands of the hardware. */
void port_serial_write(const uint8_t *bytes, uint32_t count);

/*
 * A counter that runs up and over, through all 32 bits: what lies between two readings is measured as long as it takes
 * fewer than 2^32 ticks. Cycles of the processor where it can count them.
 */
uint32_t port_ticks(void);
uint32_t port_ticks_per_second(void);

/* Restarts the board after everything written has left it. Does not return. */
void port_reset(void);

#ifdef MCUKIT_ENERGY_MODE
/* Pulls the pin that the energy meter watches low for at least a microsecond, then high again. */
void port_timestamp_pulse(void);
#endif

#ifdef __cplusplus
}
#endif

#endif
