"""Vectors for what texts say, from the hidden states of a chat model that is here anyway: no download.

A text is put to the model as an answer, and the states over it are averaged, at six tenths of the model's
depth. The first token of a sequence must not be among them: a causal model parks attention there, and its
state is so large that a mean with it says nothing. Measured with SmolLM2-135M (docs/exports.md): a paraphrase
without shared words is then closer than an unrelated text in 99.9 % of comparisons; in 48 % with the first
token in the mean.

Paper: Xiao et al. 2024, arXiv:2309.17453 (what the first token is for). Tried beside it and no better, at
twice the tokens: the mean over a repetition of the text (Springer et al. 2024, arXiv:2402.15449).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np

from publius.records import Message, user
from publius.stats.diversity import Embed
from publius.training.batches import cut_by_tokens
from publius.training.chat import encode_answer
from publius.training.environment import find_device, quiet, require_training
from publius.training.weights import LoadedModel, load_causal_lm

if TYPE_CHECKING:
    from numpy.typing import NDArray

_REQUEST = "Write a text."
_DEPTH = 0.6
_MAX_TOKENS = 2048  # of a batch, and of one piece of a long text


class _Piece(NamedTuple):
    """A part of text number `i` that fits into the model, as an answer."""

    i: int
    prompt_ids: list[int]
    answer_ids: list[int]


def open_embed(source: Path) -> Embed:
    """Return what turns texts into vectors of the model in `source` (a GGUF file or a directory).

    A text that is too long for the model is embedded in parts, averaged by their lengths.

    Raises:
        DataError: The model cannot be read.
        MissingExtra: The `train` extra is not installed.
    """
    require_training()
    with quiet():
        loaded = load_causal_lm(source)
    cast(Any, loaded.model).to(find_device().kind)
    return embed_with(loaded)


def embed_with(loaded: LoadedModel) -> Embed:
    """Return what turns texts into vectors of a model in memory, on the device where it is."""
    config: Any = cast(Any, loaded.model).config.get_text_config()
    layer = round(_DEPTH * int(config.num_hidden_layers))
    limit = min(_MAX_TOKENS, int(config.max_position_embeddings))

    def embed(texts: "Sequence[str]") -> "NDArray[np.float64]":
        pieces = [piece for i, text in enumerate(texts) for piece in _pieces(loaded, i, text, limit=limit)]
        sums = np.zeros((len(texts), int(config.hidden_size)))
        counts = np.zeros((len(texts), 1))
        lengths = [len(piece.prompt_ids) + len(piece.answer_ids) for piece in pieces]
        for batch in cut_by_tokens(lengths, budget=_MAX_TOKENS):
            own = [pieces[k] for k in batch]
            for piece, total in zip(own, _sum_states(loaded, own, layer=layer), strict=True):
                sums[piece.i] += total
                counts[piece.i] += len(piece.answer_ids)
        return sums / counts

    return embed


def _pieces(loaded: LoadedModel, i: int, text: str, *, limit: int) -> list[_Piece]:
    """Return the text as one piece, or as halves of halves that fit."""
    said = (user(_REQUEST), Message("assistant", text))
    prompt_ids, answer_ids = encode_answer(loaded.tokenizer, said)
    if len(prompt_ids) + len(answer_ids) <= limit or len(text) < 2:
        return [_Piece(i, prompt_ids, answer_ids)]
    middle = len(text) // 2
    cut = text.rfind(" ", 1, middle) if " " in text[1:middle] else middle
    halves = (text[:cut], text[cut:])
    return [piece for half in halves for piece in _pieces(loaded, i, half, limit=limit)]


def _sum_states(loaded: LoadedModel, pieces: Sequence[_Piece], *, layer: int) -> "NDArray[np.float64]":
    """Return the sum of the hidden states over each piece, shape (pieces, dimensions)."""
    import torch

    width = max(len(piece.prompt_ids) + len(piece.answer_ids) for piece in pieces)
    ids_BT = torch.full((len(pieces), width), int(cast(Any, loaded.tokenizer).pad_token_id))
    mask_BT = torch.zeros(ids_BT.shape, dtype=torch.long)
    pooled_BT = torch.zeros(ids_BT.shape)
    for row, piece in enumerate(pieces):
        ids = [*piece.prompt_ids, *piece.answer_ids]
        ids_BT[row, : len(ids)] = torch.tensor(ids)
        mask_BT[row, : len(ids)] = 1
        pooled_BT[row, len(piece.prompt_ids) : len(ids)] = 1
    model: Any = cast(Any, loaded.model).base_model
    with torch.inference_mode():
        out = model(
            input_ids=ids_BT.to(model.device),
            attention_mask=mask_BT.to(model.device),
            output_hidden_states=True,
            use_cache=False,
        )
        states_BTD = out.hidden_states[layer].float().cpu()
        return torch.einsum("bt,btd->bd", pooled_BT, states_BTD).double().numpy()
