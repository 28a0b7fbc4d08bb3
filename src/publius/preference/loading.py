"""Load a preference model from a directory: one of Publius, or of any program that saves such models.

What would give rewards without meaning is refused: pickled weights, more than one output, and a head that
is not among the saved weights (transformers would draw a new one at random).

Paper: none.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from publius.errors import DataError
from publius.preference.scale import HARM_FILE, read_scale
from publius.preference.score import PreferenceModel, wrap
from publius.training.environment import find_device, quiet, require_training
from publius.training.weights import model_directory, saved_heads

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def load_preference_model(path: Path) -> PreferenceModel:
    """Return the preference model in a directory, on the accelerator if there is one.

    Weights are float32: on a CPU rewards then depend on the batch by less than 1e-5.

    Raises:
        DataError: `path` holds no sequence-classification model with one output, a saved head and a chat
            template, in safetensors.
        MissingExtra: The `train` extra is not installed.
    """
    check_rates_merit(path)
    return _load_classifier(path)


def check_rates_merit(path: Path) -> None:
    """Refuse what is there and rates something else than merit, or nothing; nothing is loaded.

    Raises:
        DataError: It is a regressor of harm, or a model that writes.
    """
    if (path / HARM_FILE).exists():
        what = "a regressor of harm is no preference model: the worse an answer, the higher its number"
        raise DataError(what, where=path, todo="publius train pm")
    heads = saved_heads(path)
    if heads and not any(head.endswith("ForSequenceClassification") for head in heads):
        what = f"{heads[0]} is no preference model: it has no head that rates"
        raise DataError(
            what, where=path, todo="name one that rates: stages/pm/model of a run, not its policy"
        )


def load_harm_regressor(path: Path) -> PreferenceModel:
    """Return the regressor of harm in a directory, whose "reward" is harm in about [0, 4].

    Raises:
        DataError: There is none, or it is damaged.
        MissingExtra: The `train` extra is not installed.
    """
    check_harm_regressor(path)
    return _load_classifier(path)


def check_harm_regressor(path: Path) -> None:
    """Refuse a directory in which no regressor of harm lies.

    Raises:
        DataError: There is none.
    """
    if not (path / HARM_FILE).is_file():
        what = "there is no regressor of harm"
        raise DataError(what, where=path, todo="publius harm train LABELS")


def _load_classifier(path: Path) -> PreferenceModel:
    require_training()
    if not (path / "config.json").is_file():
        raise DataError("there is no preference model", where=path, todo="publius train pm")
    with quiet():
        model, missing = _load(model_directory(path))
        tokenizer = load_tokenizer(path)
    if model.config.num_labels != 1:
        raise DataError(
            f"a model with {model.config.num_labels} outputs is no preference model",
            where=path,
            todo="give the directory of a sequence-classification model with one label",
        )
    if missing:
        raise DataError(
            f"{len(missing)} weights were not saved, {missing[0]!r} for one; random ones would stand in",
            where=path,
            todo="save the whole model with its head; merge an adapter first, with its head in it",
        )
    scale = read_scale(path)
    # other programs train on all that their template writes, line break after the end of turn included
    ending = "template" if scale is None else scale.ending
    return wrap(model.to(find_device().kind), tokenizer, scale=scale, ending=ending)


def load_tokenizer(path: Path) -> "PreTrainedTokenizerBase":
    """Return the tokenizer in a directory, which must have a chat template.

    Raises:
        DataError: There is none, or it has no chat template.
    """
    from transformers import AutoTokenizer

    try:
        # said outright, since transformers would ask at the terminal whether to run a model's own code
        tokenizer = cast(Any, AutoTokenizer).from_pretrained(
            path, local_files_only=True, trust_remote_code=False
        )
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"transformers cannot load this tokenizer: {error}", where=path) from error
    if not tokenizer.chat_template:
        raise DataError(
            "the tokenizer has no chat template, so it is not known how to put messages to the model",
            where=path,
            todo="put the chat_template.jinja that the model was trained with into the directory",
        )
    return tokenizer


def _load(directory: Path) -> tuple[Any, list[str]]:
    """Return the model and the names of its weights that were not in the files."""
    import torch
    from safetensors import SafetensorError
    from transformers import AutoModelForSequenceClassification

    loose = cast(Any, AutoModelForSequenceClassification)
    try:
        model, facts = loose.from_pretrained(
            directory,
            dtype=torch.float32,
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise DataError(f"transformers cannot load this model: {error!s:.300}", where=directory) from error
    return model, sorted(facts["missing_keys"])
