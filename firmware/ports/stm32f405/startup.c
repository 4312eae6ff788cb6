/* SPDX-License-Identifier: Apache-2.0 */
/* Reset and faults of an STM32F405 without an operating system; QEMU's netduinoplus2 runs the same image. */
#include <stdint.h>

#include "port_serial.h"

extern uint32_t mk_stack_top[];
extern uint32_t mk_data_start[], mk_data_end[], mk_data_load[];
extern uint32_t mk_bss_start[], mk_bss_end[];

int  main(void);
void reset_handler(void);
void fault_handler(void);

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

void reset_handler(void)
{
    const volatile uint32_t *from = mk_data_load;
    for (volatile uint32_t *word = mk_data_start; word < mk_data_end; word++) {
        *word = *from++;
    }
    for (volatile uint32_t *word = mk_bss_start; word < mk_bss_end; word++) {
        *word = 0;
    }
    main();
    fault_handler();
}

/* The computer notices a restart. No stack: a fault may come from its end. */
__attribute__((naked)) void fault_handler(void)
{
    __asm__ volatile("ldr r0, =0xE000ED0C \n"
                     "ldr r1, =0x05FA0004 \n"
                     "str r1, [r0]        \n"
                     "dsb                 \n"
                     "b   .               \n"
                     ".ltorg              \n");
}
