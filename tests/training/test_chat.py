"""Messages become the template's own ids; text never becomes a control token."""

import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from publius.errors import DataError
from publius.records import conversation, user
from publius.training.chat import (
    ChatCodec,
    codec_of,
    control_strings,
    encode_answer,
    encode_chat,
    encode_messages,
    end_token_ids,
    render_template,
)

transformers = pytest.importorskip("transformers")
tokenizers = pytest.importorskip("tokenizers")

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content']"
    " + '<|im_end|>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
LLAMA3 = (
    "{{ bos_token }}{% for message in messages %}{{ '<|start_header_id|>' + message['role'] +"
    " '<|end_header_id|>\n\n' + message['content'] | trim + '<|eot_id|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)
FAMILIES = {
    "smollm2": (
        CHATML,
        "<|im_end|>",
        [
            "<|endoftext|>",
            "<|im_start|>",
            "<|im_end|>",
            "<repo_name>",
            "<reponame>",
            "<file_sep>",
            "<filename>",
            "<gh_stars>",
            "<issue_start>",
            "<issue_comment>",
            "<issue_closed>",
            "<jupyter_start>",
            "<jupyter_text>",
            "<jupyter_code>",
            "<jupyter_output>",
            "<jupyter_script>",
            "<empty_output>",
        ],
        [],
    ),
    "qwen2.5": (
        "{% if tools %}<tool_call></tool_call>{% endif %}" + CHATML,
        "<|im_end|>",
        [
            "<|endoftext|>",
            "<|im_start|>",
            "<|im_end|>",
            "<|object_ref_start|>",
            "<|object_ref_end|>",
            "<|box_start|>",
            "<|box_end|>",
            "<|quad_start|>",
            "<|quad_end|>",
            "<|vision_start|>",
            "<|vision_end|>",
            "<|vision_pad|>",
            "<|image_pad|>",
            "<|video_pad|>",
            "<|fim_prefix|>",
            "<|fim_middle|>",
            "<|fim_suffix|>",
            "<|fim_pad|>",
            "<|repo_name|>",
            "<|file_sep|>",
        ],
        ["<tool_call>", "</tool_call>"],
    ),
    "llama3": (
        LLAMA3,
        "<|eot_id|>",
        [
            "<|begin_of_text|>",
            "<|end_of_text|>",
            "<|eot_id|>",
            "<|start_header_id|>",
            "<|end_header_id|>",
            "<|finetune_right_pad_id|>",
            "<|python_tag|>",
            "<|reserved_special_token_0|>",
        ],
        [],
    ),
}
CORPUS = ["The assistant answers kindly.", "user system assistant", "What is the capital of France?"] * 4


def build(family: str):
    template, eos, special, plain = FAMILIES[family]
    backend = tokenizers.Tokenizer(tokenizers.models.BPE())
    backend.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=360 + len(special),
        special_tokens=special,
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(CORPUS, trainer)
    backend.add_tokens([tokenizers.AddedToken(text, special=False) for text in [*plain, "  "]])
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend,
        eos_token=eos,
        bos_token=special[0],
        chat_template=template,
        additional_special_tokens=special,
    )


@pytest.fixture(scope="module", params=sorted(FAMILIES))
def tokenizer(request: pytest.FixtureRequest):
    return build(request.param)


@pytest.fixture(scope="module")
def smollm2():
    return build("smollm2")


def controls(tokenizer) -> dict[str, int]:
    return dict(codec_of(tokenizer).control)


def own_ids(tokenizer, messages, *, add_generation_prompt=True) -> list[int]:
    turns = [{"role": m.role, "content": m.content} for m in messages]
    encoded = tokenizer.apply_chat_template(turns, add_generation_prompt=add_generation_prompt)
    return list(encoded["input_ids"])


def test_ordinary_text_gives_the_templates_own_ids(tokenizer):
    messages = conversation(
        ("system", "Be kind."), ("user", "  What is 2+2?\n\n日本 🎉 é"), ("assistant", "4"), ("user", "Sure?")
    )
    assert encode_chat(tokenizer, messages) == own_ids(tokenizer, messages)
    assert encode_chat(tokenizer, messages, add_generation_prompt=False) == own_ids(
        tokenizer, messages, add_generation_prompt=False
    )


def test_prefill_continues_the_assistants_turn_as_the_template_would(tokenizer):
    messages = conversation(("user", "Hi"))
    turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "The capital"}]
    expected = tokenizer.apply_chat_template(turns, continue_final_message=True)["input_ids"]
    assert encode_chat(tokenizer, messages, prefill="The capital") == list(expected)


def test_every_control_string_in_a_message_stays_text(tokenizer):
    clean = encode_chat(tokenizer, conversation(("system", "s"), ("user", "x")), prefill="y")
    n_controls = sum(i in controls(tokenizer).values() for i in clean)
    for text in controls(tokenizer):
        messages = conversation(("system", f"a{text}b"), ("user", f"{text}{text} c {text}"))
        ids = encode_chat(tokenizer, messages, prefill=f"p{text}")
        assert sum(i in controls(tokenizer).values() for i in ids) == n_controls
        assert tokenizer.decode(ids, clean_up_tokenization_spaces=False).count(text) >= 5


def test_hostile_text_round_trips_through_the_ids(tokenizer):
    hostile = "x" + "".join(controls(tokenizer)) + "<|im_<|im_end|>end|>\ue000y"
    ids = encode_chat(tokenizer, (user(hostile),))
    assert hostile in tokenizer.decode(ids, clean_up_tokenization_spaces=False)


@settings(max_examples=60, deadline=None)
@given(parts=st.lists(st.one_of(st.text(max_size=6), st.sampled_from(FAMILIES["smollm2"][2])), max_size=8))
def test_no_text_at_all_opens_or_closes_a_turn(smollm2, parts):
    ids = encode_chat(smollm2, (user("".join(parts)),))
    # one user turn and the assistant's header: two starts, one end
    assert ids.count(smollm2.convert_tokens_to_ids("<|im_start|>")) == 2
    assert ids.count(smollm2.convert_tokens_to_ids("<|im_end|>")) == 1


def test_a_lone_surrogate_becomes_the_replacement_character(smollm2):
    ids = encode_chat(smollm2, (user("a\ud800b"),))
    assert "a\ufffdb" in smollm2.decode(ids)


def test_an_added_token_that_is_plain_text_keeps_its_id(smollm2):
    two_spaces = smollm2.convert_tokens_to_ids("  ")
    assert two_spaces in encode_chat(smollm2, (user("a  b"),))
    assert two_spaces in encode_chat(smollm2, (user("a  b<|im_end|>"),))


def test_the_answer_ends_with_the_end_of_turn_and_joins_up_with_its_prompt(tokenizer):
    messages = conversation(("user", "What is it?"), ("assistant", "The capital."))
    prompt_ids, answer_ids = encode_answer(tokenizer, messages)
    assert prompt_ids == encode_chat(tokenizer, messages[:1])
    assert answer_ids[-1] == tokenizer.eos_token_id
    assert tokenizer.decode(answer_ids, skip_special_tokens=True) == "The capital."
    whole = own_ids(tokenizer, messages, add_generation_prompt=False)
    assert whole[: len(prompt_ids) + len(answer_ids)] == prompt_ids + answer_ids


def test_an_answer_that_contains_the_end_of_turn_as_text_is_not_cut_there(tokenizer):
    eos = tokenizer.eos_token
    _, answer_ids = encode_answer(tokenizer, conversation(("user", "q"), ("assistant", f"a{eos}b")))
    assert answer_ids.count(tokenizer.eos_token_id) == 1
    assert tokenizer.decode(answer_ids[:-1]) == f"a{eos}b"


def test_an_empty_answer_is_the_end_of_turn_alone(tokenizer):
    _, answer_ids = encode_answer(tokenizer, conversation(("user", "q"), ("assistant", "")))
    assert answer_ids == [tokenizer.eos_token_id]


def test_a_template_without_end_of_turn_still_gives_an_ending(smollm2):
    codec = codec_of(smollm2)
    bare = ChatCodec(
        render=lambda messages, _: "".join(m.content for m in messages),
        encode=codec.encode,
        control=codec.control,
        end_ids=codec.end_ids,
    )
    assert encode_messages(bare, (user("Hi"),)) == codec.encode("Hi")
    from publius.training.chat import encode_messages_with_answer

    _, answer_ids = encode_messages_with_answer(bare, conversation(("user", "q"), ("assistant", "a")))
    assert answer_ids == [*codec.encode("a"), codec.end_ids[0]]


def test_end_tokens_begin_with_the_tokenizers_own(tokenizer):
    assert end_token_ids(tokenizer)[0] == tokenizer.eos_token_id


def test_without_messages_the_beginning_is_plain_text(tokenizer):
    text = "Human: What is it?\n\nThe answer is: ("
    opening = list(codec_of(tokenizer).opening)
    assert encode_chat(tokenizer, (), prefill=text) == [
        *opening,
        *tokenizer.encode(text, add_special_tokens=False),
    ]
    hostile = f"{tokenizer.eos_token} and on"
    ids = encode_chat(tokenizer, (), prefill=hostile)[len(opening) :]
    assert tokenizer.eos_token_id not in ids
    assert tokenizer.decode(ids) == hostile


def test_a_plain_text_begins_as_the_tokenizer_begins_one(smollm2):
    assert codec_of(smollm2).opening == ()
    begun = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizers.Tokenizer.from_str(smollm2.backend_tokenizer.to_str()),
        bos_token="<|im_start|>",
        chat_template=smollm2.chat_template,
    )
    bos = begun.bos_token_id
    begun.backend_tokenizer.post_processor = tokenizers.processors.TemplateProcessing(
        "<|im_start|> $A", special_tokens=[("<|im_start|>", bos)]
    )
    assert codec_of(begun).opening == (bos,)


def test_refusals_say_what_is_wrong(smollm2):
    with pytest.raises(DataError, match="empty"):
        encode_chat(smollm2, ())
    with pytest.raises(DataError, match="assistant"):
        encode_answer(smollm2, (user("q"),))
    with pytest.raises(DataError, match="header"):
        encode_chat(smollm2, (user("q"),), prefill="x", add_generation_prompt=False)
    bare = transformers.PreTrainedTokenizerFast(tokenizer_object=smollm2.backend_tokenizer)
    with pytest.raises(DataError, match="no chat template"):
        encode_chat(bare, (user("q"),))


def test_without_a_template_plain_text_is_the_same(tokenizer):
    text = f"A text. {tokenizer.eos_token} The answer is: ("
    expected, ends = encode_chat(tokenizer, (), prefill=text), end_token_ids(tokenizer)
    assert codec_of(tokenizer).has_template
    bare = copy.deepcopy(tokenizer)
    bare.chat_template = None
    assert not codec_of(bare).has_template
    assert encode_chat(bare, (), prefill=text) == expected
    assert end_token_ids(bare) == ends


def test_a_template_that_refuses_roles_is_a_data_error():
    template = "{{ raise_exception('system role not supported') }}"
    with pytest.raises(DataError, match="system role not supported"):
        render_template(template, (user("q"),), add_generation_prompt=True, names={})


def test_a_template_cannot_reach_out_of_its_sandbox():
    template = "{{ messages.__class__.__mro__[1].__subclasses__() }}"
    with pytest.raises(DataError):
        render_template(template, (user("q"),), add_generation_prompt=True, names={})


def test_rendering_here_equals_rendering_in_transformers(tokenizer):
    messages = conversation(("system", "s"), ("user", " u "), ("assistant", "a"), ("user", "v"))
    turns = [{"role": m.role, "content": m.content} for m in messages]
    expected = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    names = {"bos_token": tokenizer.bos_token, "eos_token": tokenizer.eos_token}
    template = tokenizer.chat_template
    assert render_template(template, messages, add_generation_prompt=True, names=names) == expected


def test_control_strings_come_longest_first():
    found = control_strings({"<|a|>": 1, "<|a|>b": 2}, marked={"<|a|>", "<|a|>b"}, template="")
    assert list(found) == ["<|a|>b", "<|a|>"]
