"""The key for a server: read from the environment when it is first needed, and never shown.

Paper: none.
"""

import os

from publius.errors import EngineError


def read_key(variable: str, *, where: str) -> str:
    """Return the key in the environment variable, without white space around it.

    Raises:
        EngineError: The variable is not set, or what it holds cannot be a key; the value is not shown.
    """
    key = os.environ.get(variable, "").strip()
    if not key:
        raise EngineError(
            f"the environment variable {variable} holds no key for this server",
            where=where,
            todo=f"export {variable}=…, or name another variable in api_key_env",
        )
    if not key.isascii() or not key.isprintable() or " " in key:
        raise EngineError(
            f"what the environment variable {variable} holds cannot be a key: odd characters",
            where=where,
            todo="copy the key again",
        )
    return key
