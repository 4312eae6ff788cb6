/* SPDX-License-Identifier: Apache-2.0 */
/* UART 0 of the MPS2 or MPS3 board, and the free-running counter of its input and output block. */
#include "port_serial.h"

#define REGISTER(address) (*(volatile uint32_t *)(address))

/*
 * Images with newer cores have them elsewhere, and for the secure state, in which these start, with bit 28 set. Clocks
 * differ, too; the counter's on the MPS3 is that of the emulator, not of the board.
 */
#if defined(__ARM_FEATURE_MVE)
#define UART          0x59303000u
#define FPGA_IO       0x59302000u
#define UART_CLOCK    25000000u
#define COUNTER_CLOCK 20000000u
#elif defined(__ARM_ARCH_8M_MAIN__)
#define UART          0x50200000u
#define FPGA_IO       0x50302000u
#define UART_CLOCK    20000000u
#define COUNTER_CLOCK 20000000u
#else
#define UART          0x40004000u
#define FPGA_IO       0x40028000u
#define UART_CLOCK    25000000u
#define COUNTER_CLOCK 25000000u
#endif

#define UART_DATA    REGISTER(UART + 0x00u)
#define UART_STATE   REGISTER(UART + 0x04u)
#define UART_CONTROL REGISTER(UART + 0x08u)
#define UART_DIVIDER REGISTER(UART + 0x10u)
#define COUNTER      REGISTER(FPGA_IO + 0x18u)
#define PRESCALER    REGISTER(FPGA_IO + 0x1Cu)
#define RESET_KEY    REGISTER(0xE000ED0Cu)

enum { STATE_SEND_FULL = 1, STATE_RECEIVED = 2, CONTROL_SEND_AND_RECEIVE = 3 };

void port_serial_init(void)
{
    UART_DIVIDER = UART_CLOCK / MCUKIT_BAUD;
    UART_CONTROL = CONTROL_SEND_AND_RECEIVE;
    PRESCALER = 0;
    COUNTER = 0;
}

int port_serial_read(void)
{
    return UART_STATE & STATE_RECEIVED ? (int)(UART_DATA & 0xFFu) : -1;
}

void port_serial_write(const uint8_t *bytes, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        while (UART_STATE & STATE_SEND_FULL) {
        }
        UART_DATA = bytes[i];
    }
}

uint32_t port_ticks(void)
{
    return COUNTER;
}

uint32_t port_ticks_per_second(void)
{
    return COUNTER_CLOCK;
}

void port_reset(void)
{
    while (UART_STATE & STATE_SEND_FULL) {
    }
    RESET_KEY = 0x05FA0004u;
    for (;;) {
    }
}

#ifdef MCUKIT_ENERGY_MODE
/* The emulated board has no pin that someone watches. */
void port_timestamp_pulse(void)
{
}
#endif
