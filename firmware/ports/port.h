/* SPDX-License-Identifier: Apache-2.0 */
/* The few services an application needs from the machine it runs on; one folder per machine implements them. */
#ifndef MCUKIT_PORT_H
#define MCUKIT_PORT_H

#include <stdint.h>

/* Exit codes by which the host side tells apart how a run ended. */
enum {
    PORT_EXIT_OK = 0,
    PORT_EXIT_IO = 64,      /* a file could not be opened, read or written in full */
    PORT_EXIT_LAYER = 65,   /* a model announced a layer that it does not have */
    PORT_EXIT_FAULT = 66    /* the processor raised a fault; PORT_FAULT_FILE has the details */
};

/* Five little-endian words: kind of port (1 Cortex-M, 2 RISC-V), program counter, status, address, stack pointer. */
#define PORT_FAULT_FILE "fault.bin"

/* A handle, or a negative number when the file could not be opened. */
typedef int32_t port_file;

port_file port_open_read(const char *name);
port_file port_open_write(const char *name);
uint32_t  port_read(port_file file, void *bytes, uint32_t count);         /* bytes read */
uint32_t  port_write(port_file file, const void *bytes, uint32_t count);  /* bytes written */
void      port_close(port_file file);
void      port_exit(int code);                                           /* does not return */

/*
 * Stack metering. Paint fills the unused stack; used gives how far below the caller of paint the stack has
 * grown since, in bytes (0 on machines without a meter).
 */
void     port_stack_paint(void);
uint32_t port_stack_used(void);

/* Functions whose instructions are never counted: the linker scripts gather this section in one place. */
#if defined(__ELF__)
#define PORT_UNCOUNTED __attribute__((noinline, section(".text.mk_uncounted")))
#else
#define PORT_UNCOUNTED __attribute__((noinline))
#endif

#endif
