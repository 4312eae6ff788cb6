/* SPDX-License-Identifier: Apache-2.0 */
/* A stub: the operators of the cases. */
#ifndef MICRO_MUTABLE_OP_RESOLVER_STUB_H
#define MICRO_MUTABLE_OP_RESOLVER_STUB_H

#include "micro_interpreter.h"

namespace tflite {

template <unsigned int count>
class MicroMutableOpResolver : public MicroOpResolver {
public:
    TfLiteStatus AddConv2D();
    TfLiteStatus AddMaxPool2D();
    TfLiteStatus AddPadV2();
};

}  // namespace tflite

#endif
