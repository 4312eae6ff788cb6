/* SPDX-License-Identifier: Apache-2.0 */
/* Reset, traps and semihosting of an RV32 core on QEMU's virt machine. */
#include <stdint.h>

#include "port.h"
#include "semihosting.h"

extern uint32_t mk_stack_limit[];
extern uint32_t mk_bss_start[], mk_bss_end[], mk_arena_start[], mk_arena_end[];

int  main(void);
void reset_handler(void);
void start(void);
void trap_handler(void);
void report_trap(uint32_t stack_pointer);

/* Access to machine registers is an extension of its own, which rv32imc does not name. */
#define CSR(instruction) ".option push\n .option arch, +zicsr\n" instruction "\n .option pop\n"

/* Arena contents are undefined at power-up on a board; a pattern shows a model that relies on zeros. */
#define ARENA_POISON 0xA5A5A5A5u

static void fill(uint32_t *first, const uint32_t *last, uint32_t value)
{
    for (volatile uint32_t *word = first; word < last; word++) {
        *word = value;
    }
}

__attribute__((naked, section(".text.mk_entry"), used)) void reset_handler(void)
{
    __asm__ volatile(".option push               \n"
                     ".option norelax            \n"
                     "la   gp, __global_pointer$ \n"
                     ".option pop                \n"
                     "la   sp, mk_stack_top      \n"
                     "la   t0, trap_handler      \n"
                     CSR("csrw mtvec, t0")
                     "j    start                 \n");
}

/*
 * Locks the MiB below the stack, which the linker script leaves free, against every access, so that a stack
 * overflow traps. A locked entry of physical memory protection binds machine mode too; addresses that no entry
 * matches stay open to it.
 */
static void guard_stack(void)
{
    const uint32_t size = 1024u * 1024u;
    const uint32_t guard = (uint32_t)(uintptr_t)mk_stack_limit - size;
    const uint32_t naturally_aligned = (guard >> 2) | (size / 8 - 1);
    const uint32_t locked_without_access = 0x98u;
    __asm__ volatile(CSR("csrw pmpaddr0, %0") : : "r"(naturally_aligned));
    __asm__ volatile(CSR("csrw pmpcfg0, %0") : : "r"(locked_without_access));
}

/* .data needs no copy: the emulator loads it where it is used. */
void start(void)
{
    guard_stack();
    fill(mk_bss_start, mk_bss_end, 0);
    fill(mk_arena_start, mk_arena_end, ARENA_POISON);
    port_exit(main());
}

/* A trap may come from a stack overflow, so what follows runs on a stack of its own. */
__attribute__((naked, aligned(4))) void trap_handler(void)
{
    __asm__ volatile("mv a0, sp                 \n"
                     "la sp, mk_fault_stack_top \n"
                     "j  report_trap            \n");
}

void report_trap(uint32_t stack_pointer)
{
    uint32_t record[5] = {2, 0, 0, 0, stack_pointer};
    __asm__ volatile(CSR("csrr %0, mepc") : "=r"(record[1]));
    __asm__ volatile(CSR("csrr %0, mcause") : "=r"(record[2]));
    __asm__ volatile(CSR("csrr %0, mtval") : "=r"(record[3]));
    semihosting_report_fault(record);
}

/* The three instructions must be uncompressed and lie in one page. */
__attribute__((naked, aligned(16))) int32_t semihosting_call(uint32_t operation, const void *arguments)
{
    (void)operation;
    (void)arguments;
    __asm__ volatile(".option push   \n"
                     ".option norvc  \n"
                     "slli x0, x0, 0x1f \n"
                     "ebreak         \n"
                     "srai x0, x0, 7 \n"
                     "ret            \n"
                     ".option pop    \n");
}
