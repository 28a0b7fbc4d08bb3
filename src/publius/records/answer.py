"""An answer of a model to a prompt, as it is compared and measured.

Paper: none.
"""

from dataclasses import dataclass

from publius.records.prompt import Prompt


@dataclass(frozen=True, slots=True)
class Answer:
    """What `model` (a name such as "start", "sft", "rl") said to a prompt."""

    model: str
    prompt: Prompt
    text: str
