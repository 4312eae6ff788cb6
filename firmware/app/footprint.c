/* SPDX-License-Identifier: Apache-2.0 */
/* The smallest program that uses a model: linked without startup code, its sections are the model's footprint. */
#include "mcukit_model.h"

int main(void)
{
    mcukit_init();
    for (;;) {
        mcukit_invoke();
    }
}
