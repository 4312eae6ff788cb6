/* SPDX-License-Identifier: Apache-2.0 */
/* UART 0 of the MPS2 board, and the free-running counter of its input and output block. */
#include "port_serial.h"

#define REGISTER(address) (*(volatile uint32_t *)(address))

#define UART_DATA    REGISTER(0x40004000u)
#define UART_STATE   REGISTER(0x40004004u)
#define UART_CONTROL REGISTER(0x40004008u)
#define UART_DIVIDER REGISTER(0x40004010u)
#define COUNTER      REGISTER(0x40028018u)
#define PRESCALER    REGISTER(0x4002801Cu)
#define RESET_KEY    REGISTER(0xE000ED0Cu)

enum { STATE_SEND_FULL = 1, STATE_RECEIVED = 2, CONTROL_SEND_AND_RECEIVE = 3 };
enum { UART_CLOCK = 25000000, COUNTER_CLOCK = 20000000 };

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
