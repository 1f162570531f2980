"""Networks as files: to ONNX, to int8, to half precision, and into the package."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
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


class Reader(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, tensors: Iterator[Floats]) -> None:
        self.tensors = tensors

    def get_next(self) -> dict[str, Floats] | None:
        each = next(self.tensors, None)
        return None if each is None else {"pixels": each}


def to_onnx(net: nn.Module, example: torch.Tensor, path: Path, axes: dict[int, str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            net.eval(), (example,), path, input_names=["pixels"], output_names=["maps"],
            dynamic_axes={"pixels": axes, "maps": {0: "n"}}, opset_version=17, dynamo=False,
        )  # fmt: skip


def to_int8(source: Path, target: Path, tensors: Iterator[Floats]) -> None:
    """First and last layer stay as they are: they cost little, and need their precision. So does what is done
    with logits, behind the last fully connected layer."""
    prepared = source.with_suffix(".prepared.onnx")
    quant_pre_process(source, prepared, skip_symbolic_shape=True)
    nodes = onnx.load(prepared).graph.node
    layers = [node.name for node in nodes if node.op_type in ("Conv", "Gemm", "MatMul")]
    heads = [place for place, node in enumerate(nodes) if node.op_type == "Gemm"]
    behind = [node.name for node in nodes[heads[-1] + 1 :]] if heads else []
    quantize_static(
        prepared, target, Reader(tensors), quant_format=QuantFormat.QDQ, per_channel=True,
        activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
        nodes_to_exclude=[layers[0], layers[-1], *behind],
        calibrate_method=CalibrationMethod.MinMax,
        extra_options={"CalibMovingAverage": True, "CalibMovingAverageConstant": 0.02},
    )  # fmt: skip


def session(path: Path) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def half(source: Path, target: Path) -> Path:
    """Weights in half precision on disk, cast up when the session opens."""
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
