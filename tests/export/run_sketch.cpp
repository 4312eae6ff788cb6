// SPDX-License-Identifier: Apache-2.0
// The few Arduino functions that a sketch calls, for this computer: one loop, and a clock that moves by 7 at each look.
#include <cstdio>

#include "Arduino.h"

HardwareSerial Serial;

static unsigned long now;

unsigned long micros()
{
    return now += 7;
}

unsigned long millis()
{
    return now += 1000;
}

void delay(unsigned long)
{
}

void HardwareSerial::begin(unsigned long)
{
}

HardwareSerial::operator bool() const
{
    return false; // nobody listens: the sketch must go on all the same
}

size_t HardwareSerial::print(const char *text)
{
    return static_cast<size_t>(std::printf("%s", text));
}

size_t HardwareSerial::print(int number)
{
    return static_cast<size_t>(std::printf("%d", number));
}

size_t HardwareSerial::print(unsigned long number)
{
    return static_cast<size_t>(std::printf("%lu", number));
}

size_t HardwareSerial::println(const char *text)
{
    return static_cast<size_t>(std::printf("%s\n", text));
}

size_t HardwareSerial::println(double number, int digits)
{
    return static_cast<size_t>(std::printf("%.*f\n", digits, number));
}

int main()
{
    setup();
    loop();
}
