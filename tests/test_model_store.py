import dataclasses
import os
import subprocess
import sys
import threading
from contextlib import nullcontext

import pytest

from legible import model_store
from legible.model_store import Model, ModelCorrupt


@pytest.fixture(params=sorted(model_store.model_files()))
def file(request):
    return model_store.model_files()[request.param]


def test_every_model_that_is_named_opens_with_the_checksum_that_is_written(file):
    assert Model(file).version == file.sha256[:12]


def test_a_session_has_one_thread(file):
    options = Model(file).session.get_session_options()
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (1, 1)


@pytest.mark.parametrize("has_vnni", [True, False])
def test_exact_sums_are_asked_for_where_there_is_no_vnni(file, has_vnni, monkeypatch):
    """There, the samples of every kind are read wrongly without them; elsewhere they only take more time."""
    monkeypatch.setattr(model_store, "has_vnni", lambda: has_vnni)
    options = Model(file).session.get_session_options()
    asked = pytest.raises(RuntimeError, match="x64quantprecision") if has_vnni else nullcontext()
    with asked:
        assert options.get_session_config_entry("session.x64quantprecision") == "1"


def test_weights_that_were_changed_are_not_opened(file, tmp_path):
    changed = bytearray(file.path.read_bytes())
    changed[len(changed) // 2] ^= 1
    path = tmp_path / "changed.onnx"
    path.write_bytes(changed)
    with pytest.raises(ModelCorrupt, match=r"changed.onnx: SHA-256 is .* install Legible again"):
        Model(dataclasses.replace(file, path=path))


def test_a_model_is_opened_once_whoever_asks(file):
    found = []
    threads = [threading.Thread(target=lambda: found.append(model_store.load(file.name))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len({id(model) for model in found}) == 1


def test_a_model_that_nobody_ships_is_a_key_error():
    with pytest.raises(KeyError):
        model_store.load("crystal ball")


def test_nothing_is_reported_to_the_makers_of_the_runtime(tmp_path):
    """They keep what they will send, and an id of the machine, in the user's folder."""
    code = "from legible import model_store; model_store.load('text')"
    home = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    subprocess.run(
        [sys.executable, "-c", code], check=True, env=home | {"HOME": str(tmp_path), "XDG_CACHE_HOME": ""}
    )
    assert list(tmp_path.rglob("*")) == []
