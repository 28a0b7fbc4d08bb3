"""How much memory this process has held.

Paper: none.
"""

import sys


def peak_memory() -> int | None:
    """Return the most resident memory that this process has had, in bytes; None on Windows."""
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # macOS counts bytes
