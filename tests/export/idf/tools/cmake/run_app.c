/* SPDX-License-Identifier: Apache-2.0 */
/* What a stand-in of ESP-IDF runs an application with: one round of its main task. */
#include <stdlib.h>

#include "esp_timer.h"
#include "freertos/FreeRTOS.h"
#include "freertos/task.h"

void app_main(void);

int64_t esp_timer_get_time(void)
{
    static int64_t now;
    return now += 7;
}

void vTaskDelay(TickType_t ticks)
{
    exit(ticks > 0 ? 0 : 2);
}

int main(void)
{
    app_main();
    return 1; /* it never ends by itself */
}
