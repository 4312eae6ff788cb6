/* SPDX-License-Identifier: Apache-2.0 */
/* The serial application as a program of its own. */
#include "application.h"

int main(void)
{
    serial_start();
    for (;;) {
        serial_poll();
    }
}
