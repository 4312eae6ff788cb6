/* SPDX-License-Identifier: Apache-2.0 */
/* The text commands of the MLPerf Tiny and ULPMark-ML benchmarks: each ends in '%', each answer in "m-ready". */
#ifndef MCUKIT_SERIAL_TEXT_H
#define MCUKIT_SERIAL_TEXT_H

#include <stdint.h>

/* Greets, as the benchmarks expect it after power-on. */
void text_start(void);

/* A byte outside of frames; '%' carries out the command before it. */
void text_feed(uint8_t byte);

/* Drops what has arrived of a command. damaged: whether the next '%' is to be answered by an error. */
void text_drop(int damaged);

#endif
