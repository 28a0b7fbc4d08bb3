"""The settings of the reward server.

Paper: none.
"""

from dataclasses import dataclass, field

from publius.errors import DataError, require


@dataclass(frozen=True, slots=True)
class Settings:
    """Who may ask for what: the name of the model, the key (None: only this machine), the largest body.

    `batch_size` answers are computed at a time; with 1, nothing is computed together and every reward is,
    bit for bit, that of scoring its request alone.
    """

    name: str
    key: str | None = field(default=None, repr=False)
    max_body_bytes: int = 16_000_000
    batch_size: int = 16

    def __post_init__(self) -> None:
        """Refuse settings with which nothing could be answered."""
        require(self, "serve", max_body_bytes=1, batch_size=1)
        if self.key == "":
            raise DataError("the key is empty: everyone would have it", where="serve")
