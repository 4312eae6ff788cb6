/* SPDX-License-Identifier: Apache-2.0 */
/* Reset, faults and semihosting of a Cortex-M on the MPS2 and MPS3 boards that QEMU emulates. */
#include <stdint.h>

#include "port.h"
#include "semihosting.h"

extern uint32_t mk_stack_limit[], mk_stack_top[], mk_fault_stack_top[];
extern uint32_t mk_bss_start[], mk_bss_end[], mk_arena_start[], mk_arena_end[];

int  main(void);
void reset_handler(void);
void fault_handler(void);
void report_fault(const uint32_t *frame);

typedef void (*vector)(void);

/* The first word of the table is the initial stack pointer, the others are handlers. */
__attribute__((section(".vectors"), used)) static const struct {
    const uint32_t *stack;
    vector handlers[15];
} vectors = {
    mk_stack_top,
    {reset_handler, fault_handler, fault_handler, fault_handler, fault_handler, fault_handler, 0, 0, 0, 0,
     fault_handler, fault_handler, 0, fault_handler, fault_handler},
};

static volatile uint32_t *const CFSR = (volatile uint32_t *)0xE000ED28;   /* what kind of fault */
static volatile uint32_t *const BFAR = (volatile uint32_t *)0xE000ED38;   /* the address of a bus fault */

/* Arena contents are undefined at power-up on a board; a pattern shows a model that relies on zeros. */
#define ARENA_POISON 0xA5A5A5A5u

static void fill(uint32_t *first, const uint32_t *last, uint32_t value)
{
    for (volatile uint32_t *word = first; word < last; word++) {
        *word = value;
    }
}

#ifdef __ARM_FEATURE_MVE
static volatile uint32_t *const VTOR = (volatile uint32_t *)0xE000ED08;    /* where the vectors are */
static volatile uint32_t *const CPACR = (volatile uint32_t *)0xE000ED88;   /* which coprocessors may be used */
#define CPACR_VECTORS (0xFu << 20)

/* Vector instructions are off at reset. Vectors are read at their secure address, unlike at reset. */
static inline void enable_vector_instructions(void)
{
    *VTOR = (uint32_t)(uintptr_t)&vectors;
    *CPACR |= CPACR_VECTORS;
    __asm__ volatile("dsb \n isb" ::: "memory");
}
#else
static inline void enable_vector_instructions(void)
{
}
#endif

/* .data needs no copy: the emulator loads it where it is used. */
void reset_handler(void)
{
    enable_vector_instructions();
    fill(mk_bss_start, mk_bss_end, 0);
    fill(mk_arena_start, mk_arena_end, ARENA_POISON);
    port_exit(main());
}

/* A fault may come from a stack overflow, so what follows runs on a stack of its own. */
__attribute__((naked)) void fault_handler(void)
{
    __asm__ volatile("mrs r0, msp          \n"
                     "ldr r1, =mk_fault_stack_top \n"
                     "msr msp, r1          \n"
                     "b   report_fault     \n"
                     ".ltorg               \n");
}

void report_fault(const uint32_t *frame)
{
    const uintptr_t address = (uintptr_t)frame;
    const int has_frame = address >= (uintptr_t)mk_stack_limit && address + 32 <= (uintptr_t)mk_stack_top;
    const uint32_t record[5] = {1, has_frame ? frame[6] : 0, *CFSR, *BFAR, (uint32_t)address};
    semihosting_report_fault(record);
}

__attribute__((naked)) int32_t semihosting_call(uint32_t operation, const void *arguments)
{
    (void)operation;
    (void)arguments;
    __asm__ volatile("bkpt 0xAB \n"
                     "bx   lr   \n");
}
