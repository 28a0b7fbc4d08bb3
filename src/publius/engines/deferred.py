"""An engine that loads its model only when a question really has to be asked.

A run whose answers are all in the journal therefore loads nothing.

Paper: none.
"""

from collections.abc import Callable, Sequence

from publius.engines.protocol import Answer, Capabilities, Engine, ModelIdentity, Request
from publius.records import Conversation


class DeferredEngine:
    """Stands for the engine that `load` returns; `model` must be that engine's identity."""

    def __init__(self, model: ModelIdentity, load: Callable[[], Engine]) -> None:
        self._model = model
        self._load = load
        self._engine: Engine | None = None

    @property
    def model(self) -> ModelIdentity:
        """Which weights answer; known without loading them."""
        return self._model

    @property
    def capabilities(self) -> Capabilities:
        """What the engine can do; loads the model."""
        return self._loaded().capabilities

    def count_tokens(self, messages: Conversation) -> int:
        """Return the number of prompt tokens; loads the model."""
        return self._loaded().count_tokens(messages)

    def submit(self, requests: Sequence[Request]) -> None:
        """Take what the engine takes; loads the model."""
        self._loaded().submit(requests)

    def wait(self) -> Sequence[Answer]:
        """Return what the engine returns; nothing if nothing was asked since it was last closed."""
        return self._engine.wait() if self._engine is not None else ()

    def cancel(self) -> None:
        """Forget everything in flight."""
        if self._engine is not None:
            self._engine.cancel()

    def close(self) -> None:
        """Free the model if it was loaded; it is loaded again when it is asked again."""
        if self._engine is not None:
            self._engine.close()
            self._engine = None

    def _loaded(self) -> Engine:
        if self._engine is None:
            self._engine = self._load()
        return self._engine
