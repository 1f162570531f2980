import numpy as np
import pytest

from legible import model_store
from legible.amx import for_amx, has_amx
from legible.model_store import Model, session

FILES = [file for file in model_store.model_files().values() if file.amx]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_network_made_for_amx_says_the_same_to_the_last_bit(file):
    network = file.path.read_bytes()
    changed = for_amx(network)
    assert len(changed) == len(network)
    assert changed != network
    cells = np.random.default_rng(5).integers(0, 256, (1, 32, 88, 12), np.uint8)
    plain, other = (session(each).run(None, {"pixels": cells})[0] for each in (network, changed))
    assert np.ptp(plain) > 1
    assert (plain == other).all()


@pytest.mark.parametrize("there", [True, False])
def test_only_where_there_is_amx_a_network_is_changed(there, monkeypatch):
    """The same answers, and the checksum of the file, either way."""
    opened = []
    monkeypatch.setattr(model_store, "has_amx", lambda: there)
    monkeypatch.setattr(model_store, "session", lambda network: opened.append(network) or session(network))
    for file in model_store.model_files().values():
        assert Model(file).version == file.sha256[:12]
        assert isinstance(opened[-1], bytes) == (there and file.amx)


def test_it_is_the_processor_that_says_whether_it_has_amx(tmp_path):
    for flags, there in (("avx512_vnni amx_tile amx_int8", True), ("avx512_vnni amx_bf16", False)):
        processors = tmp_path / flags.replace(" ", "-")
        processors.write_text(f"model name : Something\nflags : {flags}\n")
        assert has_amx(processors) == there
    assert not has_amx(tmp_path / "nothing")
