/* SPDX-License-Identifier: Apache-2.0 */
#include "text.h"

#include <string.h>

#include "banner.h"
#include "clock.h"
#include "frame.h"
#include "network.h"
#include "port_serial.h"
#include "session.h"
#include "text_out.h"

/* The benchmark's runners know firmware by this line. */
#define PROFILE "ULPMark for tinyML Firmware V0.0.1"

/* What is subtracted from each byte that `db` loads: 128 where the data set holds unsigned pixels. */
#ifndef MCUKIT_TEXT_INPUT_OFFSET
#define MCUKIT_TEXT_INPUT_OFFSET 0
#endif

/* An inference can't be interrupted, so a mistyped number must not cost hours. */
#ifndef MCUKIT_TEXT_MAX_INFERENCES
#define MCUKIT_TEXT_MAX_INFERENCES 100000
#endif

enum { COMMAND_BYTES = 80, BYTES_PER_LINE = 8, DEFAULT_WARMUPS = 10 };

static char     command[COMMAND_BYTES + 1];
static uint32_t command_bytes;
static int      is_damaged;

static uint32_t expected;   /* bytes that `db load` announced; 0 if it did not */

static void put_error(const char *text)
{
    text_put_field("e", text);
}

static void put_error_about(const char *text, const char *word)
{
    text_put("e-[");
    text_put(text);
    text_put(word);
    text_put("]\r\n");
}

static void put_lap(void)
{
#ifdef MCUKIT_ENERGY_MODE
    port_timestamp_pulse();
#else
    text_put("m-lap-us-");
    text_put_number(clock_microseconds());
    text_end_line();
#endif
}

/* The next word after *rest, or null; ends it with a zero. */
static char *next_word(char **rest)
{
    char *word = *rest;
    while (*word == ' ') {
        word++;
    }
    char *end = word;
    while (*end != '\0' && *end != ' ') {
        end++;
    }
    *rest = *end == '\0' ? end : end + 1;
    *end = '\0';
    return *word == '\0' ? 0 : word;
}

/* The number that a word is, or -1 if it is none or has more than nine digits. */
static int32_t to_number(const char *word)
{
    int32_t number = 0;
    const size_t length = strlen(word);
    for (size_t i = 0; i < length; i++) {
        if (word[i] < '0' || word[i] > '9' || length > 9) {
            return -1;
        }
        number = number * 10 + (word[i] - '0');
    }
    return number;
}

static int32_t to_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void banner_command(void)
{
    const char *line = banner_text;
    while (*line != '\0') {
        const char *end = strchr(line, '\n');
        text_put("m-banner-[");
        port_serial_write((const uint8_t *)line, (uint32_t)(end - line));
        text_put("]\r\n");
        line = end + 1;
    }
}

static void help_command(void)
{
    text_put(PROFILE
             "\r\n\r\n"
             "help         : these lines\r\n"
             "name         : the name of the board\r\n"
             "banner       : what this firmware is\r\n"
             "profile      : the benchmark and the network\r\n"
             "timestamp    : the time since the start\r\n"
             "db load N    : begin an input of N bytes\r\n"
             "db HH[HH]*   : its next bytes\r\n"
             "db print     : the bytes that are there\r\n"
             "infer N [W]  : N inferences after W that are not timed\r\n"
             "results      : the output of the last inference\r\n");
}

static void load_command(char *word)
{
    const int32_t count = word ? to_number(word) : 0;
    if (!word) {
        put_error("Command 'db load' requires the # of bytes");
    } else if (count <= 0) {
        put_error("Command 'db load' must be >0 bytes");
    } else if (count > (int32_t)MCUKIT_INPUT_BYTES) {
        put_error_about("The input has no more bytes than ", BANNER_STRING(MCUKIT_INPUT_BYTES));
    } else {
        session_close();
        network_begin_input(0);
        expected = (uint32_t)count;
        text_put("m-[Expecting ");
        text_put_number(expected);
        text_put(" bytes]\r\n");
    }
}

static void print_command(void)
{
    const uint32_t held = network_input_held();
    const int8_t  *input = network_input();
    if (held > 0 && !input) {
        put_error("The input is used up");
        return;
    }
    for (uint32_t i = 0; i < held; i++) {
        text_put(i % BYTES_PER_LINE == 0 ? "m-buffer-" : "-");
        text_put_hex((uint8_t)(input[i] + MCUKIT_TEXT_INPUT_OFFSET));
        if (i % BYTES_PER_LINE == BYTES_PER_LINE - 1 || i + 1 == held) {
            text_end_line();
        }
    }
}

/* Whether a word is pairs of hexadecimal digits; else says what is wrong with it. */
static int is_hex(const char *word)
{
    const size_t digits = strlen(word);
    for (size_t i = 0; i < digits; i++) {
        if (to_digit(word[i]) < 0) {
            put_error_about("Invalid hex digit in ", word);
            return 0;
        }
    }
    if (digits % 2 != 0) {
        put_error("Insufficient number of hex digits");
        return 0;
    }
    return 1;
}

static void bytes_command(const char *word)
{
    uint8_t  bytes[COMMAND_BYTES / 2];
    uint32_t count = 0;

    if (!is_hex(word)) {
        return;
    }
    if (expected == 0 || session_is_open()) {
        put_error("Command 'db' requires 'db load' first");
        return;
    }
    for (; *word != '\0' && network_input_held() + count < expected; word += 2) {
        const uint8_t byte = (uint8_t)(to_digit(word[0]) << 4 | to_digit(word[1]));
        bytes[count++] = (uint8_t)(byte - MCUKIT_TEXT_INPUT_OFFSET);
    }
    network_add_input(bytes, count);
    if (network_input_held() == expected) {
        text_put("m-load-done\r\n");
        expected = 0;   /* further bytes would belong to nothing */
    }
}

static void db_command(char *rest)
{
    char *word = next_word(&rest);
    if (!word) {
        put_error("Command 'db' requires a subcommand");
    } else if (strcmp(word, "load") == 0) {
        load_command(next_word(&rest));
    } else if (strcmp(word, "print") == 0) {
        print_command();
    } else {
        bytes_command(word);
    }
}

/* Real values with three decimals, from the scale in fixed point: the firmware has no floats. */
static void results_command(void)
{
    static const int64_t thousandths_q20 = (int64_t)(MCUKIT_OUTPUT_SCALE * 1000.0 * 1048576.0 + 0.5);
    const int8_t *values = mcukit_output();

    if (!network_has_output()) {
        put_error("No inference has run");
        return;
    }
    text_put("m-results-[");
    for (uint32_t i = 0; i < MCUKIT_OUTPUT_BYTES; i++) {
        const int64_t product = (values[i] - MCUKIT_OUTPUT_ZERO_POINT) * thousandths_q20;
        const int64_t half = product < 0 ? -524288 : 524288;
        if (i > 0) {
            text_put(",");
        }
        text_put_thousandths((product + half) / 1048576);
    }
    text_put("]\r\n");
}

static void put_count(const char *prefix, int32_t count)
{
    text_put(prefix);
    text_put_number((uint64_t)count);
    text_end_line();
}

static void run_inferences(int32_t count, int32_t warmups)
{
    session_close();
    expected = 0;
    put_count("m-warmup-start-", warmups);
    for (int32_t i = 0; i < warmups; i++) {
        network_infer();
    }
    text_put("m-warmup-done\r\n");
    put_count("m-infer-start-", count);
    put_lap();
    for (int32_t i = 0; i < count; i++) {
        network_infer();
    }
    put_lap();
    text_put("m-infer-done\r\n");
    results_command();
}

static void infer_command(char *rest)
{
    const char   *count_word = next_word(&rest);
    const char   *warmups_word = next_word(&rest);
    const int32_t count = count_word ? to_number(count_word) : 1;
    const int32_t warmups = warmups_word ? to_number(warmups_word) : MCUKIT_KEEPS_INPUT ? DEFAULT_WARMUPS : 0;

    if (count <= 0) {
        put_error("Inference iterations must be >0");
    } else if (warmups < 0) {
        put_error("Inference warmup must be >=0");
    } else if (count > MCUKIT_TEXT_MAX_INFERENCES || warmups > MCUKIT_TEXT_MAX_INFERENCES) {
        put_error_about("No more inferences at a time than ", BANNER_STRING(MCUKIT_TEXT_MAX_INFERENCES));
    } else if (!network_is_ready()) {
        put_error("The input is not complete or used up");
    } else if (!MCUKIT_KEEPS_INPUT && count + warmups > 1) {
        put_error("This firmware keeps no input: one inference for each");
    } else {
        run_inferences(count, warmups);
    }
}

static void carry_out(char *rest)
{
    const char *word = next_word(&rest);
    if (!word) {
        return;   /* a lone '%', by which runners make sure that nothing stands before their first command */
    }
    if (strcmp(word, "name") == 0) {
        text_put_field("m-name-dut", MCUKIT_BOARD);
    } else if (strcmp(word, "timestamp") == 0) {
        put_lap();
    } else if (strcmp(word, "profile") == 0) {
        text_put_field("m-profile", PROFILE);
        text_put_field("m-model", MCUKIT_TEXT_MODEL);
    } else if (strcmp(word, "banner") == 0) {
        banner_command();
    } else if (strcmp(word, "help") == 0) {
        help_command();
    } else if (strcmp(word, "db") == 0) {
        db_command(rest);
    } else if (strcmp(word, "infer") == 0) {
        infer_command(rest);
    } else if (strcmp(word, "results") == 0) {
        results_command();
    } else {
        put_error_about("Unknown command: ", word);
    }
}

void text_start(void)
{
    expected = 0;
    text_drop(0);
#ifdef MCUKIT_ENERGY_MODE
    text_put("m-timestamp-mode-energy\r\n");
#else
    text_put("m-timestamp-mode-performance\r\n");
#endif
    put_lap();
    banner_command();
    text_put("m-init-done\r\nm-ready\r\n");
}

void text_drop(int damaged)
{
    command_bytes = 0;
    is_damaged = damaged;
}

void text_feed(uint8_t byte)
{
    if (byte == FRAME_TEXT_TERMINATOR) {
        command[command_bytes] = '\0';
        if (is_damaged) {
            put_error("Damaged command");
        } else {
            carry_out(command);
        }
        text_drop(0);
        text_put("m-ready\r\n");
    } else if (byte == '\r' || byte == '\n') {
        return;   /* from terminals */
    } else if (byte < ' ' || byte > '~' || command_bytes == COMMAND_BYTES) {
        is_damaged = 1;   /* a part of a command must not pass for one */
    } else {
        command[command_bytes++] = (char)byte;
    }
}
