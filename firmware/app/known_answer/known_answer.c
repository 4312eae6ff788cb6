/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Takes the serial application's place in a test: runs the network on inputs whose outputs are known, and says byte by
 * byte whether they are the same. It begins again and again, because no one may have listened before.
 */
#include "known_answer.h"

#include "port_serial.h"
#include "serial/application.h"
#include "serial/clock.h"
#include "serial/network.h"
#include "serial/text_out.h"

/* The bytes of an input: those of the highest 8 bits of a linear congruential generator, from -128 on. */
static uint8_t next_byte(uint32_t *state)
{
    *state = *state * KNOWN_MULTIPLIER + KNOWN_INCREMENT;
    return (uint8_t)(*state >> 24 ^ 0x80);
}

static void give_input(uint32_t seed)
{
    uint8_t piece[64];
    network_begin_input(0);
    for (uint32_t given = 0; given < MCUKIT_INPUT_BYTES;) {
        uint32_t count = 0;
        while (count < sizeof piece && given + count < MCUKIT_INPUT_BYTES) {
            piece[count++] = next_byte(&seed);
        }
        network_add_input(piece, count);
        given += count;
    }
}

/* Says where an output differs first. */
static int is_equal(const known_output *known, const int8_t *expected)
{
    const int8_t *found = known->output();
    for (uint32_t i = 0; i < known->bytes; i++) {
        if (found[i] != expected[i]) {
            text_put(" differs at byte ");
            text_put_number(i);
            text_put(" of ");
            text_put(known->name);
            text_put(": ");
            text_put_hex((uint8_t)found[i]);
            text_put(" instead of ");
            text_put_hex((uint8_t)expected[i]);
            return 0;
        }
    }
    return 1;
}

static void test_answer(uint32_t number)
{
    int equal = 1;
    give_input(known_answers[number].seed);
    network_infer();
    text_put("known-answer ");
    text_put_number(number);
    const int8_t *expected = known_answers[number].expected;
    for (uint32_t i = 0; i < KNOWN_OUTPUTS && equal; i++) {
        equal = is_equal(&known_outputs[i], expected);
        expected += known_outputs[i].bytes;
    }
    if (equal) {
        text_put(" equal");
    }
    text_end_line();
}

void serial_start(void)
{
    port_serial_init();
    clock_start();
    network_start();
}

void serial_poll(void)
{
    text_put("known-answer begin ");
    text_put_number(KNOWN_ANSWERS);
    text_end_line();
    for (uint32_t i = 0; i < KNOWN_ANSWERS; i++) {
        test_answer(i);
    }
    text_put("known-answer end");
    text_end_line();
}
