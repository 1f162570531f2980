"""Networks as files: to ONNX, to int8, to half precision."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process
from torch import nn

Floats = NDArray[np.float32]
Choice = Callable[[Sequence[onnx.NodeProto]], list[str]]  # the names of some of the nodes


class Reader(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, tensors: Iterable[Floats]) -> None:
        self.tensors: Iterator[Floats] = iter(tensors)

    def get_next(self) -> dict[str, Floats] | None:
        tensor = next(self.tensors, None)
        return None if tensor is None else {"pixels": tensor}


def to_onnx(
    net: nn.Module,
    example: torch.Tensor,
    path: Path,
    axes: Mapping[int, str],
    names: Sequence[str] = ("pixels", "logits"),
) -> None:
    """`axes` of the input may have any size; `names` are those of input and outputs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            net.eval(), (example,), path, input_names=[names[0]], output_names=list(names[1:]),
            dynamic_axes={names[0]: dict(axes)}, opset_version=17, dynamo=False,
        )  # fmt: skip


def to_int8(
    source: Path,
    target: Path,
    tensors: Iterable[Floats],
    leave: Choice,
    follow: float | None = None,
    overrides: Mapping[str, Any] | None = None,
    bits: int = 7,
) -> None:
    """All nodes but those that `leave` names. The range of each activation is that of `tensors`, or with
    `follow` its running average.

    A processor without VNNI adds two products in 16 bits: with weights of 7 bits they fit, with 8 the package
    has them added otherwise there, which takes up to half as long again (`model_store`).
    """
    prepared = source.with_suffix(".prepared.onnx")
    quant_pre_process(source, prepared, skip_symbolic_shape=True)
    model = onnx.load(prepared)
    pads_inside(model)
    onnx.save(model, prepared)
    options: dict[str, Any] = {"TensorQuantOverrides": dict(overrides or {})}
    if follow is not None:
        options |= {"CalibMovingAverage": True, "CalibMovingAverageConstant": follow}
    quantize_static(
        prepared, target, Reader(tensors), quant_format=QuantFormat.QDQ, per_channel=True,
        activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8, reduce_range=bits == 7,
        nodes_to_exclude=leave(model.graph.node),
        calibrate_method=CalibrationMethod.MinMax, extra_options=options,
    )  # fmt: skip


def pads_inside(model: onnx.ModelProto) -> None:
    """Zeros that are laid around a picture only to be convolved are laid there by the convolution. ONNX
    Runtime has no `Pad` in 8 bits: the way to floats and back took a third of the time of a MobileNet."""
    graph = model.graph
    known = {each.name: onnx.numpy_helper.to_array(each) for each in graph.initializer}
    for pad in [node for node in graph.node if node.op_type == "Pad"]:
        users = [node for node in graph.node if pad.output[0] in node.input]
        if [user.op_type for user in users] != ["Conv"] or any(pad.input[2:]) or pad.input[1] not in known:
            continue
        sides = known[pad.input[1]].reshape(2, -1)
        attributes = {each.name: list(each.ints) for each in users[0].attribute}
        is_other = any(each.name == "mode" and each.s != b"constant" for each in pad.attribute)
        if is_other or "auto_pad" in attributes or sides[:, :2].any() or sides.min() < 0:
            continue
        inside = np.array(attributes.get("pads", [0] * (sides.size - 4))) + sides[:, 2:].ravel()
        for each in [each for each in users[0].attribute if each.name == "pads"]:
            users[0].attribute.remove(each)
        users[0].attribute.append(onnx.helper.make_attribute("pads", inside.tolist()))
        users[0].input[0] = pad.input[0]
        graph.node.remove(pad)
        if not any(pad.input[1] in node.input for node in graph.node):
            graph.initializer.remove(next(each for each in graph.initializer if each.name == pad.input[1]))


def ends(nodes: Sequence[onnx.NodeProto], first: int = 1) -> list[str]:
    """The first layers and the last one: they cost little, and pixels and answers need their precision. And
    what is done with logits, behind the last fully connected layer."""
    layers = [node.name for node in nodes if node.op_type in ("Conv", "Gemm", "MatMul")]
    heads = [place for place, node in enumerate(nodes) if node.op_type == "Gemm"]
    behind = [node.name for node in nodes[heads[-1] + 1 :]] if heads else []
    return [*layers[:first], layers[-1], *behind]


def to_half(source: Path, target: Path) -> Path:
    """Weights in half precision on disk, cast up when the session opens: half the size, the same numbers to
    three digits."""
    model = onnx.load(source)
    casts = []
    for each in model.graph.initializer:
        if each.data_type == onnx.TensorProto.FLOAT and len(each.dims) > 1:
            name = each.name
            values = onnx.numpy_helper.to_array(each).astype(np.float16)
            each.CopyFrom(onnx.numpy_helper.from_array(values, name + "_half"))
            casts.append(onnx.helper.make_node("Cast", [name + "_half"], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.save(model, target)
    return target


def ones_in_bytes(model: onnx.ModelProto) -> None:
    """Matrices of nothing but 0 and 1 in bytes, cast up when the session opens: a quarter of the size."""
    casts = []
    for each in model.graph.initializer:
        values = onnx.numpy_helper.to_array(each)
        if each.data_type == onnx.TensorProto.FLOAT and values.ndim > 1 and np.isin(values, (0, 1)).all():
            name = each.name
            each.CopyFrom(onnx.numpy_helper.from_array(values.astype(np.uint8), name + "_bytes"))
            casts.append(onnx.helper.make_node("Cast", [name + "_bytes"], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
