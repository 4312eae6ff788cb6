/* SPDX-License-Identifier: Apache-2.0 */
/* A stub: of TensorFlow Lite Micro only what our C++ calls, declared as it declares it. */
#ifndef MICRO_INTERPRETER_STUB_H
#define MICRO_INTERPRETER_STUB_H

#include <stddef.h>
#include <stdint.h>

enum TfLiteStatus { kTfLiteOk = 0, kTfLiteError = 1 };

union TfLitePtrUnion {
    int8_t *int8;
};

struct TfLiteTensor {
    TfLitePtrUnion data;
    size_t         bytes;
};

namespace tflite {

struct Model;
class MicroOpResolver {};

class MicroInterpreter {
public:
    MicroInterpreter(const Model *model, const MicroOpResolver &resolver, uint8_t *arena, size_t arena_bytes);
    MicroInterpreter(const MicroInterpreter &) = delete;
    TfLiteStatus  AllocateTensors();
    TfLiteStatus  Invoke();
    TfLiteTensor *input(size_t index);
    TfLiteTensor *output(size_t index);
    size_t        inputs_size() const;
    size_t        outputs_size() const;
    size_t        arena_used_bytes() const;
};

}  // namespace tflite

#endif
