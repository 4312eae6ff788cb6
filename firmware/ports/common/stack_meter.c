/* SPDX-License-Identifier: Apache-2.0 */
/* Measures stack use by painting the free stack and looking for the lowest word that lost its paint. */
#include <stdint.h>

#include "port.h"

#define PAINT 0x5AA5C33Cu

extern uint32_t mk_stack_limit[];   /* lowest word of the stack, from the linker script */

/*
 * Stack pointer of the caller of port_stack_paint. It is volatile so that the loop there has no known number of turns:
 * compilers for cores with loop instructions would count them in the link register, and need a frame to save that.
 */
static uint32_t *volatile base;

/* A function that uses this must be a leaf without a frame, so that it is its caller's stack pointer too. */
static inline uint32_t *stack_pointer(void)
{
    uint32_t *pointer;
#if defined(__arm__)
    __asm__ volatile("mov %0, sp" : "=r"(pointer));
#elif defined(__riscv)
    __asm__ volatile("mv %0, sp" : "=r"(pointer));
#else
#error "the stack pointer of this architecture is not known"
#endif
    return pointer;
}

void port_stack_paint(void)
{
    base = stack_pointer();
    for (volatile uint32_t *word = mk_stack_limit; word < base; word++) {
        *word = PAINT;
    }
}

uint32_t port_stack_used(void)
{
    const volatile uint32_t *word = mk_stack_limit;
    while (word < base && *word == PAINT) {
        word++;
    }
    return (uint32_t)((uintptr_t)base - (uintptr_t)word);
}
