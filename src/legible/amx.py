"""A network whose 8-bit convolutions run on AMX, the matrix unit of Intel's servers since 2023.

ONNX Runtime gives convolutions whose weights have the zero point 0 to kernels without AMX. With any other
zero point they become products of matrices, which AMX computes.
"""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np

# Weights of one convolution in bytes, from which on AMX saves more than it takes to make a matrix of pixels.
LARGE = 16_384
# Numbers of fields in onnx.proto: of a model, its graph, and a tensor.
GRAPH, INITIALIZER, NAME, RAW_DATA = 7, 5, 8, 9
WEIGHTS, ZERO_POINT = "weight_quantized", "weight_zero_point"


@cache
def has_amx(processors: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether this processor is known to multiply matrices of 8-bit numbers."""
    return processors.exists() and "amx_int8" in processors.read_text("utf-8")


def for_amx(network: bytes) -> bytes:
    """The ONNX file with the weights of large convolutions one lower, and -1 as their zero point: the same
    numbers. Weights are int8 from -127 on, and zero points as long as in the file, as
    `training/text/export.py` writes them."""
    changed = bytearray(network)
    tensors = {
        bytes(parts[NAME]).decode(): parts[RAW_DATA]
        for number, graph in _fields(memoryview(changed))
        if number == GRAPH
        for kind, tensor in _fields(graph)
        if kind == INITIALIZER and RAW_DATA in (parts := dict(_fields(tensor)))
    }
    for name, weights in tensors.items():
        if name.endswith(WEIGHTS) and len(weights) >= LARGE:
            np.frombuffer(weights, np.int8)[:] -= 1
            np.frombuffer(tensors[name.replace(WEIGHTS, ZERO_POINT)], np.int8)[:] = -1
    return bytes(changed)


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    """The fields of a protocol buffer that have a length, each with its number
    (protobuf.dev/programming-guides/encoding)."""
    at = 0
    while at < len(message):
        key, at = _number(message, at)
        match key & 7:
            case 0:
                _, at = _number(message, at)
            case 2:
                length, at = _number(message, at)
                yield key >> 3, message[at : at + length]
                at += length
            case width:
                at += 4 if width == 5 else 8


def _number(message: memoryview, at: int) -> tuple[int, int]:
    """A number of seven bits a byte, the lowest first, and where the next thing begins."""
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
