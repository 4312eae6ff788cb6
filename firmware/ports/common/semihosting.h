/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MCUKIT_SEMIHOSTING_H
#define MCUKIT_SEMIHOSTING_H

#include <stdint.h>

/* Arm's semihosting call, which RISC-V adopted; the architecture's startup file implements it. */
int32_t semihosting_call(uint32_t operation, const void *arguments);

/* Writes the fault record of port.h and ends the program with PORT_EXIT_FAULT. */
void semihosting_report_fault(const uint32_t record[5]);

#endif
