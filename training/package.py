"""Puts a trained model into the package: its file with its facts, and its checksum into models.toml."""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

import onnx

PACKAGE = Path(__file__).parents[1] / "src" / "legible"


def put(model: onnx.ModelProto, room: str, name: str, facts: Mapping[str, str]) -> None:
    """Writes `name`.onnx among the recognizer's files (`room`: "text", "grid" ...), with those facts as its
    metadata. Its row of models.toml stays, but for the checksum; a new one comes last."""
    onnx.helper.set_model_props(model, dict(facts))
    target = PACKAGE / "recognizers" / room / f"{name}.onnx"
    onnx.save(model, target)
    digest = hashlib.sha256(target.read_bytes()).hexdigest()
    file = target.relative_to(PACKAGE)
    row = f'[{name}]\nfile = "{file}"\nsha256 = "{digest}"\ncard = "docs/models/{room}.md"\n'
    table = PACKAGE / "models.toml"
    old = table.read_text("utf-8")
    checksum = rf'^(\[{name}\]\n(?:\w.*\n)*?sha256 = ")\w*'
    new, found = re.subn(checksum, rf"\g<1>{digest}", old, flags=re.M)
    table.write_text(new if found else f"{old.rstrip()}\n\n{row}", "utf-8")
    print(f"{target.name}: {target.stat().st_size / 1e6:.2f} MB")
