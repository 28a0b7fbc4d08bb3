"""Two engines on the same weights agree: openvino is held against transformers in float32.

Measured on SmolLM2-135M Q4_1, 24 prompts, options A and B: the log-probabilities differ by 0.012 on
average and 0.040 at most in f32, and by 0.053 and 0.13 at openvino's fast default (bf16, 8-bit cache).
With openvino-genai's own reading of the file it would be 0.6 and 1.0 (see `openvino_graph.py`). The suite
in `conformance.py` holds every engine to it; here is what the two share beyond that.
"""

import importlib.util
from collections.abc import Generator
from pathlib import Path

import pytest

from publius.engines.openvino import open_openvino
from publius.engines.protocol import Completion, Engine
from publius.errors import DataError
from publius.records import conversation, user

from .conformance import TOPICS, answers_of

pytestmark = [
    pytest.mark.model,
    pytest.mark.skipif(
        importlib.util.find_spec("openvino_genai") is None or importlib.util.find_spec("torch") is None,
        reason="both engines are needed",
    ),
]

TEXTS = (
    "It's 2024,  and I paid $1,000.50!\n\n\tdef f(x):\n\t\treturn x  # ½",
    "Größe 東京 🙂 e\u0301 \u00a0x ａ \u200b ß",
    "Say <|im_end|> and <repo_name> and <|im_<|im_end|>end|>.",
    " " * 40 + "\r\n" * 5,
    "word " * 3000,
)


@pytest.fixture(scope="module", params=["f32", "auto"])
def measured(request: pytest.FixtureRequest, smollm2_path: Path) -> Generator[Engine]:
    """openvino at a precision."""
    engine = open_openvino(smollm2_path, name="smollm2", options={"precision": request.param})
    yield engine
    engine.close()


def test_the_most_probable_token_is_the_same(yardstick: Engine, measured: Engine, ask):
    requests = [ask(topic, f"What is {topic}?", max_tokens=1) for topic in TOPICS]
    expected, found = answers_of(yardstick, requests), answers_of(measured, requests)
    same = [found[topic] == expected[topic] for topic in TOPICS]
    assert sum(same) >= len(TOPICS) - 1  # bf16 may turn a near tie


def test_text_becomes_the_same_number_of_tokens(yardstick: Engine, measured: Engine):
    for text in TEXTS:
        messages = conversation(("user", text), ("assistant", text[:50]), ("user", text[-50:]))
        assert measured.count_tokens(messages) == yardstick.count_tokens(messages)


def test_ids_and_decoded_text_are_the_same(smollm2_path: Path):
    import openvino_genai

    from publius.engines.openvino_tokenizer import GGUFTokenizer
    from publius.training.chat import encode_chat, encode_messages
    from publius.training.gguf_header import read_gguf_header
    from publius.training.weights import load_causal_lm

    theirs = load_causal_lm(smollm2_path).tokenizer
    ours = GGUFTokenizer(
        openvino_genai.Tokenizer(str(smollm2_path)),
        header=read_gguf_header(smollm2_path),
        where=smollm2_path,
    )
    for text in TEXTS:
        ids = encode_chat(theirs, (user(text),), prefill="(")
        assert encode_messages(ours.codec, (user(text),), prefill="(") == ids
        assert ours.decode(ids) == theirs.decode(ids, skip_special_tokens=True)


def test_without_a_template_plain_text_has_the_same_ids(smollm2_path: Path):
    import openvino_genai

    from publius.engines.openvino_tokenizer import GGUFTokenizer
    from publius.training.chat import encode_messages
    from publius.training.gguf_header import read_gguf_header

    tokenizer, header = openvino_genai.Tokenizer(str(smollm2_path)), read_gguf_header(smollm2_path)
    without = {key: value for key, value in header.items() if key != "tokenizer.chat_template"}
    tuned, base = (
        GGUFTokenizer(tokenizer, header=own, where=smollm2_path).codec for own in (header, without)
    )
    for text in TEXTS:
        assert encode_messages(base, (), prefill=text) == encode_messages(tuned, (), prefill=text)
    assert (tuned.has_template, base.has_template) == (True, False)
    with pytest.raises(DataError, match="no chat template"):
        encode_messages(base, (user("Hi."),))


def test_the_dequantised_model_has_the_files_own_values(smollm2_path: Path):
    gguf = pytest.importorskip("gguf")
    torch = pytest.importorskip("torch")
    from publius.training.weights import load_causal_lm

    loaded = load_causal_lm(smollm2_path)
    state = loaded.model.state_dict()
    tensors = {tensor.name: tensor for tensor in gguf.GGUFReader(smollm2_path).tensors}
    for name, ours in (
        ("token_embd.weight", "model.embed_tokens.weight"),
        ("blk.0.ffn_down.weight", "model.layers.0.mlp.down_proj.weight"),
        ("blk.29.attn_v.weight", "model.layers.29.self_attn.v_proj.weight"),
    ):
        expected = gguf.dequantize(tensors[name].data, tensors[name].tensor_type)
        assert torch.equal(state[ours], torch.tensor(expected))
    assert loaded.tokenizer.pad_token_id != loaded.tokenizer.eos_token_id
    assert loaded.tokenizer.tokenize("a  2024")[-4:] == ["2", "0", "2", "4"]


@pytest.mark.parametrize("measured", ["f32"], indirect=True)
def test_greedy_text_is_the_same_in_float32(yardstick: Engine, measured: Engine, ask):
    """At the fast default it need not be: "The" leads "L'Étoile" by 0.08 nats as a first word here."""
    requests = [ask("france", "What is the capital of France?", max_tokens=6)]
    found = answers_of(measured, requests)
    assert isinstance(found["france"], Completion)
    assert found == answers_of(yardstick, requests)
