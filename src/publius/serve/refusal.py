"""A request that is not answered with rewards: the status and what the client is told.

Paper: none.
"""

from typing import Any


class Refusal(Exception):
    """An HTTP error; `kind` is for programs, `message` for people, `items` names single texts by index."""

    def __init__(
        self, status: int, kind: str, message: str, *, items: tuple[tuple[int, str], ...] = ()
    ) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.message = message
        self.items = items

    def body(self) -> dict[str, Any]:
        """Return the error as the JSON object that the client gets."""
        error: dict[str, Any] = {"type": self.kind, "message": self.message}
        if self.items:
            error["items"] = [{"index": index, "message": reason} for index, reason in self.items]
        return {"error": error}
