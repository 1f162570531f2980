"""ONNX Runtime sessions for the models named in `models.toml`, each verified by checksum and opened once."""

import hashlib
import os
import threading
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from legible import memory
from legible.amx import for_amx, has_amx

# Asked for when it is imported: else ONNX Runtime gives this machine an id and reports its use to Microsoft.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
import onnxruntime as ort


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A row of `models.toml`. `amx`: its convolutions are so large that AMX is faster."""

    name: str
    path: Path
    sha256: str
    amx: bool = False


class ModelCorrupt(Exception):  # noqa: N818 - a fact about a file
    """The weights on disk are not the ones that were released."""


def session(network: Path | bytes) -> ort.InferenceSession:
    """The network in that file, in one thread, with sums of 8-bit products that are exact everywhere."""
    options = ort.SessionOptions()
    # ORT's default threads double the CPU that a request costs (docs/decisions.md).
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    if not has_vnni():
        # Such a processor adds two products in 16 bits, which overflow if weights have 8 bits. This asks for
        # the exact sum, for a quarter more time; weights of 7 bits are exact anyway. Where there is VNNI it
        # would change nothing but the time, which it doubles.
        options.add_session_config_entry("session.x64quantprecision", "1")
    return ort.InferenceSession(network, options, providers=["CPUExecutionProvider"])


@cache
def has_vnni(processors: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether this processor is known to have instructions for 8-bit networks."""
    return processors.exists() and "vnni" in processors.read_text("utf-8")


class Model:
    """One network: `run` is safe from many threads, and uses one thread of its own caller."""

    def __init__(self, file: ModelFile) -> None:
        with file.path.open("rb") as weights:
            digest = hashlib.file_digest(weights, "sha256").hexdigest()
        if digest != file.sha256:
            raise ModelCorrupt(
                f"{file.path.name}: SHA-256 is {digest}, models.toml says {file.sha256}; "
                "install Legible again"
            )
        # From the file: from bytes, ONNX Runtime keeps a copy of its own (16 MB for six models).
        self.session = session(for_amx(file.path.read_bytes()) if file.amx and has_amx() else file.path)
        self.name = file.name
        self.version = digest[:12]
        self.input = self.session.get_inputs()[0].name
        self.metadata: Mapping[str, str] = dict(self.session.get_modelmeta().custom_metadata_map)

    def run(self, tensor: NDArray[np.generic]) -> list[NDArray[np.float32]]:
        """All outputs of the network for one input tensor."""
        return list(self.session.run(None, {self.input: tensor}))


@cache
def model_files() -> Mapping[str, ModelFile]:
    """Every model that this installation ships, by name."""
    package = Path(str(files("legible")))
    table = tomllib.loads((package / "models.toml").read_text("utf-8"))
    return {
        name: ModelFile(name, package / row["file"], row["sha256"], row.get("amx", False))
        for name, row in table.items()
    }


_open_lock = threading.Lock()
_models: dict[str, Model] = {}


def load(name: str) -> Model:
    """The model of that name, opened at its first use. Raises `KeyError` for a name that is not in
    `models.toml`."""
    with _open_lock:
        if name not in _models:
            _models[name] = Model(model_files()[name])
            # Opening a session leaves free pages in the heap (20 MB for six models).
            memory.trim()
        return _models[name]
