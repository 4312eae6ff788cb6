/* SPDX-License-Identifier: Apache-2.0 */
/* A stub: of the Arduino framework only what our port and sketches call, declared as the framework declares it. */
#ifndef ARDUINO_STUB_H
#define ARDUINO_STUB_H

#include <stddef.h>
#include <stdint.h>

enum { LOW = 0, HIGH = 1, OUTPUT = 1 };

#define F_CPU 160000000u

/* STM32 pins of the cases, by the names that the core gives them. */
enum { PA2, PA3, PA9, PA10, PD8, PD9, PG7, PG8 };

class HardwareSerial {
public:
    HardwareSerial() = default;
    HardwareSerial(uint32_t rx, uint32_t tx);
    void   begin(unsigned long baud);
    int    read();
    size_t write(const uint8_t *bytes, size_t count);
    void   flush();
    size_t print(const char *text);
    size_t print(int number);
    size_t print(unsigned long number);
    size_t println(const char *text);
    size_t println(double number, int digits);
    operator bool() const;
};

class EspClass {
public:
    uint32_t getCycleCount();
    uint32_t getCpuFreqMHz();
    void     restart();
};

extern HardwareSerial Serial;
extern EspClass       ESP;

unsigned long micros();
unsigned long millis();
void delay(unsigned long milliseconds);
void delayMicroseconds(unsigned int microseconds);
void pinMode(uint32_t pin, uint32_t mode);
void digitalWrite(uint32_t pin, uint32_t level);
void disableCore0WDT();
void setup();
void loop();

#endif
