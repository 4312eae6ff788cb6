/* SPDX-License-Identifier: Apache-2.0 */
#include "clock.h"

#include "port_serial.h"

static uint64_t total;
static uint32_t last;

void clock_start(void)
{
    total = 0;
    last = port_ticks();
}

uint64_t clock_ticks(void)
{
    const uint32_t now = port_ticks();
    total += (uint32_t)(now - last);
    last = now;
    return total;
}

uint64_t clock_microseconds(void)
{
    const uint64_t ticks = clock_ticks();
    const uint32_t rate = port_ticks_per_second();
    return ticks / rate * 1000000u + ticks % rate * 1000000u / rate;
}
