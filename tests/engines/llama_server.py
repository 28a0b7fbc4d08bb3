"""llama.cpp's own server in a process of its own: run with a GGUF's path; it prints its address, and ends
when its standard input is closed, so also when whoever started it was killed.
"""

import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

KEY = "sk-llama-for-this-test"
NAME = "smollm2"


@contextmanager
def llama_server(gguf: Path) -> Generator[str]:
    """Yield the address of a server of the model `NAME` with four places of 1,024 tokens each."""
    arguments = [sys.executable, str(Path(__file__)), str(gguf)]
    with subprocess.Popen(
        arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        address = next((line.split()[1] for line in process.stdout if line.startswith("listening ")), "")
        try:
            assert address, "llama.cpp's server did not start"
            yield address
        finally:
            process.stdin.close()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


def _serve(gguf: str) -> None:
    import xllamacpp

    settings = xllamacpp.CommonParams()
    settings.model.path = gguf
    settings.model_alias = {NAME}
    settings.api_keys = [KEY]
    settings.n_parallel, settings.n_ctx = 4, 4 * 1024
    settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = 2
    settings.verbosity = 0
    server = xllamacpp.Server(settings)
    print("listening", server.listening_address, flush=True)
    sys.stdin.read()
    del server


if __name__ == "__main__":
    _serve(sys.argv[1])
