/* SPDX-License-Identifier: Apache-2.0 */
/* The smallest program that uses a model: linked without startup code, its sections are the model's footprint. */
#include "mcukit_model.h"

int main(void)
{
#if MCUKIT_INPUT_IS_PUSHED
    mcukit_init();
    for (;;) {
        mcukit_push_row(mcukit_next_row());
    }
#else
    mcukit_init();
    for (;;) {
        mcukit_invoke();
    }
#endif
}
