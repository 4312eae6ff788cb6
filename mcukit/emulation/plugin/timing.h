/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An estimate of the processor cycles that the counted code takes: what its instructions take one after the other, by
 * a table for each address, and where the processor waits.
 *
 * Arguments, all of them or none:
 *   costs=FILE:ADDRESS       a byte for each halfword of code from ADDRESS: cycles of the instruction that begins there
 *   branches=TAKEN:MISSED    cycles that a taken branch takes longer, and one that does not go where it went last
 *   unaligned=CYCLES         for a load or store of a word or halfword across its natural boundary
 *   flash=START:END          where code or constants are, once for each such range
 *   lines=BYTES:MISS:NEXT    of flash, read at once into a line of a cache; cycles to wait for one that is not there,
 *                            and for the one behind it, which was read ahead, when code runs on into it
 *   fetches=SETS:WAYS        the cache of instructions: a line is in one of WAYS places of its set
 *   loads=SETS:WAYS          the cache of constants
 */
#ifndef TIMING_H
#define TIMING_H

#include <stdbool.h>
#include <stdint.h>

#include "qemu.h"

enum cycles { ISSUE, BRANCHES, FETCHES, LOADS, CYCLE_CLASSES };

/* What the counted code took since someone set them to 0. ISSUE is left to whoever counts instructions. */
extern uint64_t timing_cycles[CYCLE_CLASSES];

/* Whether it is one of the arguments above, and right. */
bool timing_argument(const char *argument);

/* Whether there were such arguments. */
bool timing_is_wanted(void);

/* Whether all that is needed was among them. */
bool timing_is_complete(void);

/* Cycles of the instruction at an address. */
uint64_t timing_issue(uint64_t address);

/* To be called for each block, and for each counted instruction of it. counted: whether the block begins with one. */
void timing_watch_block(struct plugin_block *block, bool counted);
void timing_watch_instruction(struct plugin_instruction *instruction);

#endif
