/* SPDX-License-Identifier: Apache-2.0 */
/*
 * USART1 of an STM32F405 on PA9 and PA10, and its cycle counter. The processor runs at 168 MHz from the internal
 * oscillator, which needs nothing on the board, or at the oscillator's 16 MHz if the multiplied clock does not come up.
 */
#include "port_serial.h"

#define REGISTER(address) (*(volatile uint32_t *)(address))

#define RCC_CR      REGISTER(0x40023800u)
#define RCC_PLLCFGR REGISTER(0x40023804u)
#define RCC_CFGR    REGISTER(0x40023808u)
#define RCC_AHB1ENR REGISTER(0x40023830u)
#define RCC_APB1ENR REGISTER(0x40023840u)
#define RCC_APB2ENR REGISTER(0x40023844u)
#define FLASH_ACR   REGISTER(0x40023C00u)
#define GPIOA_MODER REGISTER(0x40020000u)
#define GPIOA_PUPDR REGISTER(0x4002000Cu)
#define GPIOA_AFRH  REGISTER(0x40020024u)
#define GPIOA_BSRR  REGISTER(0x40020018u)
#define USART1_SR   REGISTER(0x40011000u)
#define USART1_DR   REGISTER(0x40011004u)
#define USART1_BRR  REGISTER(0x40011008u)
#define USART1_CR1  REGISTER(0x4001100Cu)
#define TIM2_CR1    REGISTER(0x40000000u)
#define TIM2_EGR    REGISTER(0x40000014u)
#define TIM2_CNT    REGISTER(0x40000024u)
#define TIM2_PSC    REGISTER(0x40000028u)
#define TIM2_ARR    REGISTER(0x4000002Cu)
#define DEMCR       REGISTER(0xE000EDFCu)
#define DWT_CTRL    REGISTER(0xE0001000u)
#define DWT_CYCCNT  REGISTER(0xE0001004u)
#define AIRCR       REGISTER(0xE000ED0Cu)

enum { SLOW_CLOCK = 16000000, FAST_CLOCK = 168000000, EMULATED_TIMER_CLOCK = 1000000000 };
enum { SR_RECEIVED = 1 << 5, SR_SENT = 1 << 6, SR_CAN_SEND = 1 << 7 };
enum { PLL_ON = 1 << 24, PLL_READY = 1 << 25, SWITCH_TO_PLL = 2, SWITCHED_TO_PLL = 2 << 2, SWITCH_STATUS = 3 << 2 };
enum { WAIT_READINGS = 100000 };

static uint32_t processor_clock;
static int      has_cycle_counter;

/* Whether the bits of a register under the mask take a value; an emulator without that register never shows it. */
static int comes_to(volatile const uint32_t *reg, uint32_t mask, uint32_t value)
{
    for (uint32_t i = 0; i < WAIT_READINGS; i++) {
        if ((*reg & mask) == value) {
            return 1;
        }
    }
    return 0;
}

/* 16 MHz / 16 * 336 / 2; buses at a quarter and a half of it; five wait states of flash, with caches and prefetch. */
static void start_clock(void)
{
    processor_clock = SLOW_CLOCK;
    RCC_PLLCFGR = 16u | 336u << 6 | 0u << 16 | 7u << 24;
    RCC_CR |= PLL_ON;
    if (!comes_to(&RCC_CR, PLL_READY, PLL_READY)) {
        return;
    }
    FLASH_ACR = 5u | 1u << 8 | 1u << 9 | 1u << 10;
    if (!comes_to(&FLASH_ACR, 7, 5)) {
        return;
    }
    RCC_CFGR = 5u << 10 | 4u << 13;
    RCC_CFGR |= SWITCH_TO_PLL;
    if (comes_to(&RCC_CFGR, SWITCH_STATUS, SWITCHED_TO_PLL)) {
        processor_clock = FAST_CLOCK;
    }
}

static void start_line(void)
{
    const uint32_t bus_clock = processor_clock == FAST_CLOCK ? FAST_CLOCK / 2 : SLOW_CLOCK;
    RCC_AHB1ENR |= 1u << 0;
    RCC_APB2ENR |= 1u << 4;
    (void)RCC_APB2ENR;   /* a reading lets the clocks start before their blocks are touched */
    GPIOA_AFRH = (GPIOA_AFRH & ~0xFF0u) | 0x770u;
    GPIOA_MODER = (GPIOA_MODER & ~(15u << 18)) | 10u << 18;
    GPIOA_PUPDR = (GPIOA_PUPDR & ~(15u << 18)) | 4u << 18;   /* a pin that hangs in the air receives nothing */
    USART1_BRR = (bus_clock + MCUKIT_BAUD / 2) / MCUKIT_BAUD;
    USART1_CR1 = 1u << 13 | 1u << 3 | 1u << 2;
#ifdef MCUKIT_ENERGY_MODE
    GPIOA_MODER = (GPIOA_MODER & ~(3u << 16)) | 1u << 16;
    GPIOA_BSRR = 1u << 8;
#endif
}

/* Cycles where the processor counts them. The emulator's doesn't: there a timer takes its place, in nanoseconds. */
static void start_counter(void)
{
    DEMCR |= 1u << 24;
    DWT_CYCCNT = 0;
    DWT_CTRL |= 1u;
    const uint32_t before = DWT_CYCCNT;
    for (volatile uint32_t i = 0; i < 10; i++) {
    }
    has_cycle_counter = DWT_CYCCNT != before;
    if (!has_cycle_counter) {
        RCC_APB1ENR |= 1u << 0;
        TIM2_PSC = 0;
        TIM2_ARR = 0xFFFFFFFFu;
        TIM2_EGR = 1;
        TIM2_CR1 = 1;
    }
}

void port_serial_init(void)
{
    start_clock();
    start_line();
    start_counter();
}

int port_serial_read(void)
{
    return USART1_SR & SR_RECEIVED ? (int)(USART1_DR & 0xFFu) : -1;
}

void port_serial_write(const uint8_t *bytes, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        while (!(USART1_SR & SR_CAN_SEND)) {
        }
        USART1_DR = bytes[i];
    }
}

uint32_t port_ticks(void)
{
    return has_cycle_counter ? DWT_CYCCNT : TIM2_CNT;
}

uint32_t port_ticks_per_second(void)
{
    return has_cycle_counter ? processor_clock : EMULATED_TIMER_CLOCK;
}

void port_reset(void)
{
    while (!(USART1_SR & SR_SENT)) {
    }
    AIRCR = 0x05FA0004u;
    for (;;) {
    }
}

#ifdef MCUKIT_ENERGY_MODE
/* PA8, for at least ten microseconds at any clock. */
void port_timestamp_pulse(void)
{
    GPIOA_BSRR = 1u << 24;
    for (volatile uint32_t i = 0; i < 1000; i++) {
    }
    GPIOA_BSRR = 1u << 8;
}
#endif
