"""How many tokens a text has, about: for models whose tokenizer is on another machine.

Used for limits, for plans, and where a server tells no count that can be true.

Paper: none.
"""

from publius.records import Conversation


def likely_prompt_tokens(messages: Conversation, prefill: str = "") -> int:
    """Return about how many tokens a prompt has; the server's tokenizer is not here.

    >>> from publius.records import user
    >>> likely_prompt_tokens((user("Why is the sky blue?"),))
    13
    """
    return likely_tokens(n_text_bytes(messages, prefill)) + 4 * (len(messages) + 1)


def n_text_bytes(messages: Conversation, prefill: str = "") -> int:
    """Return the bytes of all messages' text and the prefill in UTF-8.

    >>> from publius.records import user
    >>> n_text_bytes((user("é"),), "a")
    3
    """
    return sum(n_bytes_of(message.content) for message in messages) + n_bytes_of(prefill)


def n_bytes_of(text: str) -> int:
    """Return the bytes of `text` in UTF-8.

    >>> n_bytes_of("é")
    2
    """
    return len(text.encode("utf-8", "surrogatepass"))


def least_tokens(n_bytes: int) -> int:
    """Return fewer tokens than any usual tokenizer makes of `n_bytes` of UTF-8 text.

    >>> least_tokens(800)
    100
    """
    return n_bytes // 8  # plain English has 4 to 5 bytes a token


def likely_tokens(n_bytes: int) -> int:
    """Return about how many tokens `n_bytes` of UTF-8 text have; for limits and lost counts only.

    >>> likely_tokens(9)
    3
    """
    return -(-n_bytes // 4)
