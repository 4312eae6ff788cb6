/* SPDX-License-Identifier: Apache-2.0 */
/* The serial application as a sketch. */
#include <Arduino.h>

#include "serial/application.h"

void setup()
{
    serial_start();
}

void loop()
{
    serial_poll();
}
