"""vLLM's own server in a process of its own: run with a model's directory; it prints its address when it is
ready, and ends when its standard input is closed, so also when whoever started it was killed.
"""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

KEY = "sk-vllm-for-this-test"
NAME = "smollm2"


@contextmanager
def vllm_server(directory: Path) -> Generator[str]:
    """Yield the address of a server of the model `NAME`, in float32, with a context of 1,024 tokens."""
    arguments = [sys.executable, str(Path(__file__)), str(directory)]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        address = next((line.split()[1] for line in process.stdout if line.startswith("listening ")), "")
        try:
            assert address, "vLLM's server did not start"
            yield address
        finally:
            process.stdin.close()
            process.wait(60)


def _serve(directory: str) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    arguments = [
        *(sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", directory),
        *("--served-model-name", NAME, "--api-key", KEY, "--host", "127.0.0.1", "--port", str(port)),
        *("--dtype", "float32", "--max-model-len", "1024", "--max-num-seqs", "8", "--enforce-eager"),
        # read in parts, a prompt of a seeded request ends vLLM 0.32 on a CPU
        *("--generation-config", "vllm", "--no-enable-chunked-prefill"),
    ]
    environment = {
        **os.environ,
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_LOGGING_LEVEL": "ERROR",
    }
    server = subprocess.Popen(
        arguments,
        env=environment,
        stdout=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        address = f"http://127.0.0.1:{port}"
        while server.poll() is None and not _is_ready(f"{address}/health"):
            time.sleep(0.5)
        if server.poll() is None:
            print("listening", address, flush=True)
            sys.stdin.read()
    finally:
        server.terminate()
        try:
            server.wait(30)
        finally:
            with suppress(ProcessLookupError):  # everything has ended
                os.killpg(server.pid, signal.SIGKILL)


def _is_ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False


if __name__ == "__main__":
    _serve(sys.argv[1])
