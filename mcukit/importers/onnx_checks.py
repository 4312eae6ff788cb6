# SPDX-License-Identifier: Apache-2.0
"""Checks of an ONNX file as it was read, before any other code sees it.

What passes has one consistent graph: names are defined once and before use, constants have the size of their shape,
nodes fit the schemas of their operators. What mcukit doesn't support is reported later, node by node.
"""

from __future__ import annotations

__all__ = ["OLDEST_OPSET", "check_model", "default_opset", "node_place", "parse_model"]

from collections import Counter
from collections.abc import Iterator

from google.protobuf.descriptor import FieldDescriptor  # type: ignore[import-untyped]
from google.protobuf.message import DecodeError, Message  # type: ignore[import-untyped]
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, defs

from mcukit.errors import McukitError, Problem
from mcukit.importers.onnx_tensors import check_tensor, has_external_data
from mcukit.quantities import counted

OLDEST_OPSET = 11
_MAX_NODES = 50_000
_DEFAULT_DOMAINS = ("", "ai.onnx")
_AGAIN = "export the model again"


def parse_model(data: bytes, where: str) -> ModelProto:
    """The protobuf message in `data`. Raises McukitError "not-an-onnx-model"."""
    model = ModelProto()
    try:
        model.ParseFromString(data)
        has_graph = model.HasField("graph") and len(model.opset_import) > 0
    except (DecodeError, UnicodeDecodeError) as error:
        message = "this is no complete ONNX model"
        hint = "give an .onnx or .tflite file; if it is one, copy it again: it may be truncated"
        raise McukitError("not-an-onnx-model", message, where=where, hint=hint) from error
    if not has_graph:
        message = "this is no complete ONNX model: it has no graph or no operator set"
        hint = "give an .onnx or .tflite file; if it is one, copy it again: it may be truncated"
        raise McukitError("not-an-onnx-model", message, where=where, hint=hint)
    return model


def check_model(model: ModelProto) -> list[Problem]:
    """All problems that make the file invalid as a whole."""
    if not _is_text(model):
        return [Problem("invalid-model", "a name in it is not UTF-8", hint=_AGAIN)]
    problems = _opset_problems(model)
    if problems:
        return problems
    graph = model.graph
    if len(graph.node) > _MAX_NODES:
        return [Problem("invalid-model", f"{len(graph.node)} nodes, at most {_MAX_NODES} are possible")]
    problems += _constant_problems(graph)
    problems += _name_problems(graph)
    opset = default_opset(model)
    for node in graph.node:
        problems += _node_problems(node, opset)
    return problems


def default_opset(model: ModelProto) -> int:
    """Version of the standard operators; 0 if the file names none."""
    return max((entry.version for entry in model.opset_import if entry.domain in _DEFAULT_DOMAINS), default=0)


def node_place(node: NodeProto) -> str:
    """How errors call a node."""
    return f"node '{node_name(node)}' ({node.op_type})"


def node_name(node: NodeProto) -> str:
    """The node's name, or operator and output where it has none."""
    return node.name or "_".join([node.op_type, *node.output[:1]])


def _is_text(message: Message) -> bool:
    """Whether all strings in a message, and in those inside it, are text; protobuf leaves other ones as bytes."""
    for field, value in message.ListFields():
        values = value if field.is_repeated else (value,)
        if field.type == FieldDescriptor.TYPE_STRING and not all(isinstance(item, str) for item in values):
            return False
        if field.type == FieldDescriptor.TYPE_MESSAGE and not all(map(_is_text, values)):
            return False
    return True


def _opset_problems(model: ModelProto) -> list[Problem]:
    domains = ["" if entry.domain in _DEFAULT_DOMAINS else entry.domain for entry in model.opset_import]
    if len(set(domains)) != len(domains):
        return [Problem("invalid-model", "an operator set is named twice", hint=_AGAIN)]
    opset, newest = default_opset(model), defs.onnx_opset_version()
    if not OLDEST_OPSET <= opset <= newest:
        message = f"operator set {opset}, supported are {OLDEST_OPSET} to {newest}"
        return [Problem("unsupported-opset", message, hint=f"export with opset_version={min(newest, 17)}")]
    return []


def _constant_problems(graph: GraphProto) -> list[Problem]:
    problems = []
    if graph.sparse_initializer:
        problems.append(Problem("unsupported-type", "it has sparse constants", hint="export dense weights"))
    for tensor in graph.initializer:
        problems += check_tensor(tensor, f"constant '{tensor.name}'")
    return problems


def _name_problems(graph: GraphProto) -> list[Problem]:
    """Values are defined once, and before they are read."""
    constants = [tensor.name for tensor in graph.initializer]
    inputs = [value.name for value in graph.input]
    outputs = [value.name for value in graph.output]
    problems = [
        Problem("invalid-model", f"{kind} has no name, or the name of another one", f"{kind} '{name}'", _AGAIN)
        for kind, names in (("constant", constants), ("input", inputs), ("output", outputs))
        for name, count in Counter(names).items()
        if not name or count > 1
    ]
    known = {*constants, *inputs}
    for node in graph.node:
        problems += [Problem("invalid-model", message, node_place(node), _AGAIN) for message in _define(node, known)]
    problems += [
        Problem("invalid-model", "no node produces it", f"output '{name}'", _AGAIN)
        for name in outputs
        if name not in known
    ]
    return problems


def _define(node: NodeProto, known: set[str]) -> Iterator[str]:
    """Adds the outputs of a node to the known names; what is wrong with it by then."""
    for name in filter(None, node.input):
        if name not in known:
            yield f"it reads '{name}', which no node before it produces: one is missing, or nodes form a cycle"
    for name in filter(None, node.output):
        if name in known:
            yield f"its output '{name}' is defined already"
        known.add(name)


def _node_problems(node: NodeProto, opset: int) -> list[Problem]:
    """Problems of attributes, and of the number of inputs and outputs where the operator is a standard one."""
    place = node_place(node)
    problems = []
    names = [attribute.name for attribute in node.attribute]
    if len(set(names)) != len(names):
        problems.append(Problem("invalid-model", "an attribute is given twice", place, _AGAIN))
    for attribute in node.attribute:
        problems += [
            Problem("invalid-model", f"attribute '{attribute.name}' {message}", place, _AGAIN)
            for message in _attribute_faults(attribute)
        ]
        if attribute.type == AttributeProto.TENSOR:
            problems += check_tensor(attribute.t, place)
            if has_external_data(attribute.t):
                problems.append(Problem("external-data", "an attribute has its data in a file", place, _AGAIN))
    if node.domain in _DEFAULT_DOMAINS and defs.has(node.op_type, opset, ""):
        schema = defs.get_schema(node.op_type, opset, "")
        problems += [Problem("invalid-model", message, place, _AGAIN) for message in _schema_faults(node, schema)]
    return problems


_SCHEMA_TYPES = {
    number: defs.OpSchema.AttrType(number)  # type: ignore[call-arg]
    for number in AttributeProto.AttributeType.values()
    if number != AttributeProto.UNDEFINED
}
_FIELDS = {
    AttributeProto.FLOAT: "f",
    AttributeProto.INT: "i",
    AttributeProto.STRING: "s",
    AttributeProto.TENSOR: "t",
    AttributeProto.GRAPH: "g",
}


def _attribute_faults(attribute: AttributeProto) -> Iterator[str]:
    if not attribute.name:
        yield "has no name"
    if attribute.ref_attr_name:
        yield "refers to a function's attribute, but is in no function"
    if attribute.type not in AttributeProto.AttributeType.values() or attribute.type == AttributeProto.UNDEFINED:
        yield "has no known type"
    elif attribute.type in _FIELDS and not attribute.HasField(_FIELDS[attribute.type]):
        yield "has no value of its type"
    for text in (attribute.s, *attribute.strings):
        try:
            text.decode()
        except UnicodeDecodeError:
            yield "is not UTF-8"


def _schema_faults(node: NodeProto, schema: defs.OpSchema) -> Iterator[str]:
    if not schema.min_input <= len(node.input) <= schema.max_input:
        count = counted(len(node.input), "input")
        yield f"it has {count}, the standard says {schema.min_input} to {schema.max_input}"
    if not schema.min_output <= len(node.output) <= schema.max_output:
        count = counted(len(node.output), "output")
        yield f"it has {count}, the standard says {schema.min_output} to {schema.max_output}"
    single = defs.OpSchema.FormalParameterOption.Single
    for kind, names, formal in (
        ("input", node.input, schema.inputs),
        ("output", node.output, schema.outputs),
    ):
        for index, (name, parameter) in enumerate(zip(names, formal, strict=False)):
            if not name and parameter.option == single:
                yield f"its {kind} {index} ({parameter.name}) is missing"
    for attribute in node.attribute:
        if attribute.name not in schema.attributes:
            yield f"it has an attribute '{attribute.name}', which the standard does not know"
        elif schema.attributes[attribute.name].type != _SCHEMA_TYPES.get(attribute.type):
            yield f"its attribute '{attribute.name}' has the wrong type"
    given = {attribute.name for attribute in node.attribute}
    for name, declared in schema.attributes.items():
        if declared.required and name not in given:
            yield f"its attribute '{name}' is missing"
