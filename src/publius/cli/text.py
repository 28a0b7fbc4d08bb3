"""Text made safe for a terminal.

Paper: none.
"""


def printable(text: str) -> str:
    """Return text with control, invisible and direction-changing characters made visible.

    >>> printable("a\\x1b[31mb")
    'a\\\\x1b[31mb'
    """
    return "".join(
        char if char.isprintable() or char == "\n" else char.encode("unicode_escape").decode("ascii")
        for char in text
    )
