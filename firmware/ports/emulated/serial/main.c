/* SPDX-License-Identifier: Apache-2.0 */
/* The serial application on an emulated machine, whose start-up code and serial port are its platform's. */
#include "serial/application.h"

int main(void)
{
    serial_start();
    for (;;) {
        serial_poll();
    }
}
