/* SPDX-License-Identifier: Apache-2.0 */
/* A stub: of TensorFlow Lite's flatbuffers only what our C++ calls. */
#ifndef SCHEMA_GENERATED_STUB_H
#define SCHEMA_GENERATED_STUB_H

namespace tflite {

struct Model;
const Model *GetModel(const void *buffer);

}  // namespace tflite

#endif
