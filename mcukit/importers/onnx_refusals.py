# SPDX-License-Identifier: Apache-2.0
"""What to tell the user about ONNX operators that mcukit doesn't have."""

from __future__ import annotations

__all__ = ["quantized_problem", "refusal"]

from onnx import GraphProto

from mcukit.errors import Problem
from mcukit.quantities import counted

_WAYS_OUT = {
    ("If", "Loop", "Scan"): (
        "control flow can't be planned ahead",
        "export with fixed shapes and no data-dependent branches; onnxsim or torch.export often remove it",
    ),
    ("RNN", "LSTM", "GRU"): ("recurrent layers are not supported", "use convolutions over time"),
    ("ArgMax", "TopK", "NonMaxSuppression"): (
        "it is no layer but a step after the network",
        "end the exported network in front of it and do this step in the application",
    ),
    ("LayerNormalization", "InstanceNormalization", "GroupNormalization", "LpNormalization"): (
        "it normalizes with statistics of the running input",
        "train with BatchNormalization, which folds into the convolution",
    ),
    ("ConvTranspose",): ("there is no such kernel", "use Resize by nearest neighbour and a convolution"),
    ("Cast",): ("maps have one type", "export the whole network in float32"),
    ("Erf", "Gelu"): ("there is no such kernel", "train with ReLU, ReLU6 or HardSwish"),
}
_REASONS = {op_type: texts for op_types, texts in _WAYS_OUT.items() for op_type in op_types}
_QUANTIZED_PREFIXES = ("QLinear", "QuantizeLinear", "DynamicQuantizeLinear", "ConvInteger", "MatMulInteger")


def refusal(op_type: str, domain: str, where: str) -> Problem:
    """Says why a node with this operator can't be imported and what to do about it. domain: "" for standard ones."""
    if op_type in _REASONS:
        reason, hint = _REASONS[op_type]
        return Problem("unsupported-operator", f"operator {op_type} is not supported: {reason}", where, hint)
    if domain:
        message = f"operator {op_type} is not one of the ONNX standard"
        hint = "export with standard operators; inline functions with onnx.inliner.inline_local_functions"
        return Problem("unsupported-operator", message, where, hint)
    hint = "replace it or leave it out before exporting; `mcukit ops` lists what is supported"
    return Problem("unsupported-operator", f"operator {op_type} is not supported", where, hint)


def quantized_problem(graph: GraphProto) -> list[Problem]:
    """One problem if the model is quantized already, however many nodes say so."""
    nodes = [node for node in graph.node if node.op_type.startswith(_QUANTIZED_PREFIXES)]
    if not nodes:
        return []
    return [
        Problem(
            "quantized-model",
            f"this model is quantized already ({counted(len(nodes), 'node')} such as {nodes[0].op_type})",
            f"node '{nodes[0].name}' ({nodes[0].op_type})",
            "give the float model: mcukit quantizes it; quantized .tflite files are taken as they are",
        )
    ]
