/* SPDX-License-Identifier: Apache-2.0 */
/* The serial application as the main task. The settings beside it turn off the watchdog of the idle task. */
#include "serial/application.h"

void app_main(void);

void app_main(void)
{
    serial_start();
    for (;;) {
        serial_poll();
    }
}
