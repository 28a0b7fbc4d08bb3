"""The header of a GGUF file is read back exactly, and a damaged one is refused."""

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from publius.errors import DataError
from publius.training.gguf_header import (
    TensorPlace,
    control_tokens,
    header_number,
    header_text,
    read_gguf_header,
    read_gguf_tensors,
    token_text,
)


def text(value: str) -> bytes:
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def header(*, version: int = 3, n_tensors: int = 1) -> bytes:
    fields = [
        text("general.architecture") + struct.pack("<I", 8) + text("llama"),
        text("llama.context_length") + struct.pack("<II", 4, 8192),
        text("eps") + struct.pack("<If", 6, 0.5),
        text("flag") + struct.pack("<I?", 7, True),
        text("tokenizer.ggml.tokens") + struct.pack("<IIQ", 9, 8, 3) + b"".join(map(text, ["a", "é", "<e>"])),
        text("tokenizer.ggml.token_type") + struct.pack("<IIQ3i", 9, 5, 3, 1, 1, 3),
        text("tokenizer.ggml.eos_token_id") + struct.pack("<II", 4, 2),
    ]
    tensor = text("w") + struct.pack("<IQQIQ", 2, 32, 4, 3, 64)
    return (
        struct.pack("<4sIQQ", b"GGUF", version, n_tensors, len(fields))
        + b"".join(fields)
        + tensor * n_tensors
    )


@pytest.fixture
def gguf(tmp_path: Path) -> Path:
    path = tmp_path / "m.gguf"
    path.write_bytes(header())
    return path


def test_metadata_comes_back_by_kind(gguf: Path):
    read = read_gguf_header(gguf)
    assert header_text(read, "general.architecture") == "llama"
    assert header_number(read, "llama.context_length") == 8192
    assert read["eps"] == 0.5
    assert read["flag"] is True
    assert header_number(read, "flag") is None
    assert header_text(read, "nothing") is None
    assert token_text(read, "eos") == "<e>"
    assert token_text(read, "bos") is None
    assert control_tokens(read) == {"<e>": 2}


def test_a_tensor_is_placed_after_the_aligned_header(gguf: Path):
    size = gguf.stat().st_size
    start = -(-size // 32) * 32 + 64
    assert read_gguf_tensors(gguf) == {"w": TensorPlace(kind=3, shape=(4, 32), start=start)}


@pytest.mark.parametrize("version", [1, 4])
def test_an_unknown_version_is_refused(tmp_path: Path, version: int):
    path = tmp_path / "m.gguf"
    path.write_bytes(header(version=version))
    with pytest.raises(DataError, match=f"version {version}"):
        read_gguf_header(path)


def test_another_kind_of_file_and_no_file_are_refused(tmp_path: Path):
    path = tmp_path / "m.gguf"
    with pytest.raises(DataError, match="cannot be read"):
        read_gguf_header(path)
    path.write_bytes(b"PK\x03\x04" + bytes(60))
    with pytest.raises(DataError, match="not a GGUF"):
        read_gguf_header(path)


@given(end=st.integers(min_value=0, max_value=len(header()) - 1))
def test_a_header_cut_anywhere_is_a_data_error(tmp_path_factory: pytest.TempPathFactory, end: int):
    path = tmp_path_factory.mktemp("cut") / "m.gguf"
    path.write_bytes(header()[:end])
    with pytest.raises(DataError):
        read_gguf_tensors(path)


def test_an_announced_size_is_checked_before_it_is_believed(tmp_path: Path):
    path = tmp_path / "m.gguf"
    path.write_bytes(struct.pack("<4sIQQ", b"GGUF", 3, 0, 1) + struct.pack("<Q", 2**60))
    with pytest.raises(DataError, match="announces"):
        read_gguf_header(path)
