"""From a GGUF file or a safetensors directory to a torch model and its tokenizer, and back to disk.

A GGUF is dequantised once (float32 safetensors: 4 bytes a parameter on disk) into a cache keyed by the
file's sha256 and loaded from there ever after. Only GGUF and safetensors are read: pickle files can run
code when opened, and code that comes with a model is never run.

The cache is `$PUBLIUS_CACHE`, or `~/.cache/publius`.

Paper: none.
"""

import importlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast

from publius.errors import DataError, MissingExtra
from publius.training.chat import no_template
from publius.training.digest import cache_dir, weights_hash
from publius.training.gguf_header import header_text, read_gguf_header
from publius.training.lora import merged_weights
from publius.training.whole_directory import appearing_whole, check_disk

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

__all__ = [
    "DType",
    "LoadedModel",
    "cache_dir",
    "has_chat_template",
    "load_causal_lm",
    "model_directory",
    "save_model",
    "weights_hash",
]

DType: TypeAlias = Literal["float32", "bfloat16", "float16"]

# Padding must differ from the end token: a loss or a score that skips padding would skip the end too.
# Byte-level tokenizers never produce their <|endoftext|>, <unk> or fill-in-the-middle tokens in a chat.
_PAD_CANDIDATES = (
    "<pad>", "<|pad|>", "<|endoftext|>", "<|finetune_right_pad_id|>", "<|end_of_text|>", "<|fim_pad|>",
    "<|vision_pad|>", "<unk>",
)  # fmt: skip
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A causal language model in evaluation mode on the CPU, and its tokenizer.

    With a chat template, as all that is trained has one, the padding token is never the end token.
    """

    model: "PreTrainedModel"
    tokenizer: "PreTrainedTokenizerBase"


def load_causal_lm(source: Path, *, dtype: DType = "float32", needs_template: bool = True) -> LoadedModel:
    """Return the model and tokenizer of a GGUF file or of a directory with safetensors.

    Without `needs_template` the model may know no turns, and is then asked in plain text.

    Raises:
        DataError: `source` is missing, is neither GGUF nor safetensors, or lacks a chat template.
        MissingExtra: torch or transformers is not installed.
        StoreError: There is no room for the dequantised copy.
    """
    transformers = _transformers()
    if needs_template and _is_gguf(source) and not has_chat_template(source):
        raise no_template(source)  # before it is dequantised
    directory = model_directory(source)
    torch_dtype = _torch_dtype(dtype)
    try:
        # said outright, since transformers would ask at the terminal whether to run a model's own code
        tokenizer = transformers.AutoTokenizer.from_pretrained(
            directory, local_files_only=True, trust_remote_code=False
        )
        if needs_template and not tokenizer.chat_template:
            raise no_template(source)
        model = transformers.AutoModelForCausalLM.from_pretrained(
            directory,
            dtype=torch_dtype,
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
        )
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"transformers cannot load this model: {error}", where=source) from error
    _set_pad_token(tokenizer, model, source)
    return LoadedModel(model.eval(), tokenizer)


def model_directory(source: Path) -> Path:
    """Return the directory with the safetensors of `source`, dequantised first if it is a GGUF file.

    Raises:
        DataError: `source` is missing, or is neither GGUF nor safetensors.
        MissingExtra: A GGUF must be dequantised, and torch or transformers is not installed.
        StoreError: There is no room for the dequantised copy.
    """
    directory = _dequantised(source) if source.is_file() else source
    _check_directory(directory)
    return directory


def has_chat_template(source: Path) -> bool:
    """Return whether a GGUF file, or a directory with a tokenizer, brings a chat template; loads neither.

    Raises:
        DataError: The file is no GGUF, or the tokenizer's settings cannot be read.
    """
    if _is_gguf(source):
        return bool(header_text(read_gguf_header(source), "tokenizer.chat_template"))
    if any(source.glob("chat_template.*")) or any(source.glob("additional_chat_templates/*")):
        return True
    settings = source / "tokenizer_config.json"
    try:
        return bool(settings.exists() and json.loads(settings.read_text("utf-8")).get("chat_template"))
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        raise DataError(f"the tokenizer's settings cannot be read: {error}", where=settings) from error


def saved_heads(source: Path) -> tuple[str, ...]:
    """Return what a model directory says that it is, such as "LlamaForCausalLM"; () where it does not say.

    Raises:
        DataError: Its settings cannot be read.
    """
    settings = source / "config.json"
    try:
        named = json.loads(settings.read_text("utf-8")).get("architectures") if settings.is_file() else None
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        raise DataError(f"the model's settings cannot be read: {error}", where=settings) from error
    return tuple(map(str, cast(list[Any], named))) if isinstance(named, list) else ()


def save_model(model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase", out: Path) -> Path:
    """Write a model directory (safetensors, config, tokenizer with its template) and return `out`.

    The directory appears whole or not at all; one that was there before is replaced. Low-rank updates are
    merged into what is written.

    Raises:
        StoreError: The disk is full or `out` cannot be written.
    """
    with appearing_whole(out) as directory:
        # safetensors is the only format transformers 5 writes
        cast(Any, model).save_pretrained(directory, state_dict=dict(merged_weights(model)))
        cast(Any, tokenizer).save_pretrained(directory)
    return out


def _dequantised(file: Path) -> Path:
    """Return the cached safetensors directory of a GGUF file, making it if need be."""
    if not _is_gguf(file):
        raise _pickle_or_unknown(file)
    key = weights_hash(file).removeprefix("sha256:")
    target = cache_dir() / "dequantised-v1" / key
    if not (target / "config.json").exists():
        pre_tokenizer = header_text(read_gguf_header(file), "tokenizer.ggml.pre") or ""
        _dequantise(file, target, pre_tokenizer=pre_tokenizer)
    return target


def _dequantise(file: Path, target: Path, *, pre_tokenizer: str) -> None:
    transformers = _transformers()
    # 4-bit weights to 32, and a little more
    check_disk(target.parent, n_bytes=file.stat().st_size * 9, purpose="the dequantised copy of the weights")
    options: dict[str, Any] = {"gguf_file": file.name, "local_files_only": True}
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(file.parent, **options)
        packed = transformers.AutoModelForCausalLM.from_pretrained(
            file.parent, dtype=_torch_dtype("float32"), **options, **_dequantise_option(transformers)
        )
    except ImportError as error:
        raise MissingExtra("gguf", "train") from error
    except (OSError, ValueError, KeyError, NotImplementedError) as error:
        raise DataError(f"transformers cannot read this GGUF: {error}", where=file) from error
    _mend_pre_tokenizer(tokenizer, pre_tokenizer)
    # The loaded model remembers its quantisation and refuses to be saved, so its tensors move into a
    # plain model of the same shape.
    config = packed.config.__class__.from_dict(
        {key: value for key, value in packed.config.to_dict().items() if key != "quantization_config"}
    )
    plain = transformers.AutoModelForCausalLM.from_config(config, dtype=_torch_dtype("float32"))
    plain.load_state_dict(packed.state_dict(), assign=True)
    plain.tie_weights()
    plain.generation_config = packed.generation_config
    del packed
    tokenizer.model_max_length = config.max_position_embeddings
    _set_pad_token(tokenizer, plain, file)
    save_model(plain, tokenizer, target)


def _dequantise_option(transformers: Any) -> dict[str, Any]:
    """Ask for unpacked weights where transformers would leave them packed (5.20 and later)."""
    kind = getattr(transformers, "GgufConfig", None)
    return {} if kind is None else {"quantization_config": kind(dequantize=True)}


def _mend_pre_tokenizer(tokenizer: Any, name: str) -> None:
    """Split text as the model was trained to: transformers reads the merges but not this field.

    SmolLM's tokenizer takes every digit alone, before anything else; without that, spaces before a
    number are merged differently.
    """
    if name != "smollm":
        return
    from tokenizers import pre_tokenizers

    digits = pre_tokenizers.Digits(individual_digits=True)
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence([digits, byte_level])


def _set_pad_token(tokenizer: Any, model: Any, source: Path) -> None:
    """Give the tokenizer a padding token that is not its end token, without growing the vocabulary."""
    if tokenizer.pad_token_id is None or tokenizer.pad_token_id == tokenizer.eos_token_id:
        special = {str(t.content) for t in tokenizer.added_tokens_decoder.values() if t.special}
        spoken = {tokenizer.eos_token, tokenizer.bos_token}
        template = str(tokenizer.chat_template or "")
        rest = sorted(text for text in special if text not in template)
        free = [text for text in (*_PAD_CANDIDATES, *rest) if text in special and text not in spoken]
        if not free and not template and tokenizer.eos_token:
            free = [tokenizer.eos_token]  # it is only asked: what is padded is masked, and nothing is learned
        if not free:
            raise DataError(
                "the tokenizer has no token to pad with that is not its end token",
                where=source,
                todo="add a pad token to the tokenizer and resize the model's embeddings once",
            )
        tokenizer.pad_token = free[0]
    model.config.pad_token_id = tokenizer.pad_token_id
    if model.generation_config is not None:
        model.generation_config.pad_token_id = tokenizer.pad_token_id


def _is_gguf(source: Path) -> bool:
    return source.suffix == ".gguf" and source.is_file()


def _check_directory(directory: Path) -> None:
    if not directory.exists():
        raise DataError("there is no such model", where=directory, todo="see `publius models`")
    if any(directory.glob("*.safetensors")) and (directory / "config.json").exists():
        return
    if (directory / "adapter_config.json").exists():
        raise DataError(
            "this is an adapter, not a whole model",
            where=directory,
            todo="merge it into its base model (peft: merge_and_unload) and save that",
        )
    raise _pickle_or_unknown(directory)


def _pickle_or_unknown(source: Path) -> DataError:
    is_pickle = any(source.match(p) or (source.is_dir() and any(source.glob(p))) for p in _PICKLES)
    if is_pickle:
        return DataError(
            "these weights are pickle files, which can run code when they are opened; they are not read",
            where=source,
            todo="use the model's safetensors or GGUF, or convert it in a place you trust",
        )
    return DataError(
        "this is neither a .gguf file nor a directory with config.json and *.safetensors", where=source
    )


def _torch_dtype(name: DType) -> Any:
    import torch

    return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[name]


def _transformers() -> Any:
    """Return the transformers module, loosely typed, as its lazy attributes are."""
    try:
        importlib.import_module("torch")  # without it transformers imports, and fails later, unclearly
        return importlib.import_module("transformers")
    except ImportError as error:
        raise MissingExtra(str(error.name or "transformers"), "train") from error
