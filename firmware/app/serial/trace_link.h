/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Carries what layers compute to the computer while they run: the board sends a TRACE and waits until it was taken,
 * for some seconds at most. Then the rest of the inference runs without.
 */
#ifndef MCUKIT_SERIAL_TRACE_LINK_H
#define MCUKIT_SERIAL_TRACE_LINK_H

#include <stdint.h>

/* A new trace of no bytes, for this session. */
void trace_link_begin(uint32_t session, uint16_t sequence);

/* The request that is being carried out while what follows is written. */
void trace_link_answer_to(uint16_t sequence);

void trace_link_write(const void *bytes, uint32_t count);
void trace_link_flush(void);

int      trace_link_is_lost(void);
uint32_t trace_link_bytes(void);   /* written since trace_link_begin */
uint32_t trace_link_crc(void);     /* of all of them */

#endif
