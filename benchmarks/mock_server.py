"""A chat-completions server that answers by the hash of the question and logs every call it gets.

The same question always gets the same answer, after the same time, so a run that was broken can be
compared byte by byte with one that was not. The log outlives the client: one line when a call has come,
one when its answer is written, so calls that were asked twice can be counted.

    C 1234.567890 HASH chat      a call came: seconds of the monotonic clock, hash of the body, kind
    A 1234.789012 HASH chat      its answer was handed to the network

The kind is chat, label, or probe for the question by which a client finds out what works.

Run: .venv/bin/python benchmarks/mock_server.py --log calls.log --seconds 0.1 0.3
It prints its address as one line of JSON, and ends when its standard input closes.
"""

import argparse
import asyncio
import hashlib
import json
import math
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

_OPTIONS = ("1", "2", "good", "bad", "A", "B", "yes", "no")
_TEXT = (
    "answer ask bread bridge calm care change clear common count draft early fair field first friend gentle "
    "give ground harm help home honest human keep kind know language law letter light listen long measure "
    "open order paper part patient people place plain principle question quiet reason reply rest river rule "
    "safe share simple small steady story think time trust turn voice warm water word work write year"
)
_WORDS = _TEXT.split()
_N_LOGPROBS = 20
_MOST_BODY_BYTES = 64 * 2**20


class Settings(NamedTuple):
    """What the server is called, how long an answer takes (least, most), and whether it shows log-probs."""

    model: str
    seconds: tuple[float, float]
    has_logprobs: bool


class Call(NamedTuple):
    """One request as it came."""

    method: str
    path: str
    body: bytes
    keep_alive: bool


def digest_of(body: bytes) -> str:
    """Return the hash under which a call stands in the log."""
    return hashlib.sha256(body).hexdigest()[:32]


def share(digest: str, name: str) -> float:
    """Return a number in [0, 1) that depends on a call and a name."""
    return int(hashlib.sha256(f"{digest}/{name}".encode()).hexdigest()[:12], 16) / 16**12


def answer_chat(body: Mapping[str, Any], digest: str, settings: Settings) -> dict[str, Any]:
    """Return the completion of a chat request: a text, or an option with its log-probabilities.

    One text in 32 leaves its role and says nothing else, one in 64 is filtered, as models do.
    """
    most = int(body.get("max_completion_tokens") or body.get("max_tokens") or 256)
    n_prompt = sum(len(str(turn.get("content", "")).split()) + 4 for turn in body.get("messages", ()))
    choice: dict[str, Any] = {"index": 0, "logprobs": None}
    if body.get("logprobs") or most <= 1:
        tops = _top_logprobs(digest)
        text, finish, n_written = tops[0]["token"], "length", 1
        if body.get("logprobs") and settings.has_logprobs:
            shown = tops[: int(body.get("top_logprobs") or 0)]
            choice["logprobs"] = {"content": [{**tops[0], "top_logprobs": shown}], "refusal": None}
    else:
        text, finish, n_written = _text(digest, most)
    choice |= {"message": {"role": "assistant", "content": text, "refusal": None}, "finish_reason": finish}
    usage = {
        "prompt_tokens": n_prompt,
        "completion_tokens": n_written,
        "total_tokens": n_prompt + n_written,
    }
    return {
        "id": f"chatcmpl-{digest}",
        "object": "chat.completion",
        "created": 0,
        "model": settings.model,
        "choices": [choice],
        "usage": usage,
    }


def _text(digest: str, most: int) -> tuple[str, str, int]:
    odd = share(digest, "odd")
    if odd < 1 / 64:
        return "", "content_filter", 0
    if odd < 3 / 64:
        return "Critique Request: go on", "stop", 4
    sentences: list[str] = []
    for i in range(1 + int(3 * share(digest, "sentences"))):
        n_words = 5 + int(8 * share(digest, f"{i}/words"))
        words = [_WORDS[int(share(digest, f"{i}/{j}") * len(_WORDS))] for j in range(n_words)]
        sentences.append(" ".join(words).capitalize() + ".")
    words = " ".join(sentences).split(" ")
    return " ".join(words[:most]), "stop" if len(words) <= most else "length", min(len(words), most)


def _top_logprobs(digest: str) -> list[dict[str, Any]]:
    """Return twenty tokens with their log-probabilities, the options among them, the likeliest first."""
    tokens = [*_OPTIONS, *_WORDS[: _N_LOGPROBS - len(_OPTIONS)]]
    weights = [
        math.exp((4.0 if i < 2 else 2.0 if i < 4 else -2.0) + 3.0 * share(digest, f"option {token}"))
        for i, token in enumerate(tokens)
    ]
    total = sum(weights) / 0.98
    rows = [
        {"token": token, "logprob": math.log(weight / total), "bytes": list(token.encode())}
        for token, weight in zip(tokens, weights, strict=True)
    ]
    return sorted(rows, key=lambda row: -row["logprob"])


def _kind_of(body: Mapping[str, Any]) -> str:
    """Return "label", "chat", or "probe" for the question by which a client finds out what works."""
    if len(body.get("messages", ())) == 1 and body.get("max_tokens") == 1:
        return "probe"
    return "label" if body.get("logprobs") else "chat"


class Connection(asyncio.Protocol):
    """One connection: HTTP/1.1 with keep-alive, one call at a time."""

    def __init__(self, settings: Settings, log: int) -> None:
        self._settings = settings
        self._log = log
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None
        self._pending: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        if self._pending is not None:
            self._pending.cancel()  # the client is gone: this call is never answered

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._next()

    def _next(self) -> None:
        if self._pending is not None:
            return
        call = _take_call(self._buffer)
        if call is None:
            return
        if call.method == "POST" and call.path.endswith("/chat/completions"):
            self._chat(call)
        elif call.method == "GET" and call.path.endswith("/models"):
            listed = {"id": self._settings.model, "object": "model", "created": 0, "owned_by": "mock"}
            self._send(200, {"object": "list", "data": [listed]}, call)
        else:
            self._send(404, {"error": {"message": f"no route {call.path}", "type": "not_found"}}, call)

    def _chat(self, call: Call) -> None:
        digest = digest_of(call.body)
        try:
            body = json.loads(call.body)
        except ValueError as error:
            self._send(400, {"error": {"message": str(error), "type": "invalid_request_error"}}, call)
            return
        kind = _kind_of(body)
        self._note("C", digest, kind)
        if body.get("model") != self._settings.model:
            what = f"the model {body.get('model')!r} does not exist"
            self._send(404, {"error": {"message": what, "code": "model_not_found"}}, call)
            return
        least, most = self._settings.seconds
        seconds = least + (most - least) * share(digest, "seconds")
        answered = asyncio.get_running_loop().call_later
        self._pending = answered(seconds, self._answer, body, digest, kind, call)

    def _answer(self, body: Mapping[str, Any], digest: str, kind: str, call: Call) -> None:
        self._pending = None
        reply = answer_chat(body, digest, self._settings)
        self._note("A", digest, kind)
        self._send(200, reply, call)

    def _note(self, what: str, digest: str, kind: str) -> None:
        os.write(self._log, f"{what} {time.monotonic():.6f} {digest} {kind}\n".encode())

    def _send(self, status: int, value: object, call: Call) -> None:
        assert self._transport is not None
        body = json.dumps(value).encode()
        lines = (
            f"HTTP/1.1 {status} {'OK' if status == 200 else 'Error'}",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
            f"Connection: {'keep-alive' if call.keep_alive else 'close'}",
        )
        self._transport.write("\r\n".join((*lines, "", "")).encode() + body)
        if not call.keep_alive:
            self._transport.close()
        elif self._buffer:
            self._next()


def _take_call(buffer: bytearray) -> Call | None:
    """Take one whole request off the buffer, or return None while it is not all there."""
    end = buffer.find(b"\r\n\r\n")
    if end < 0:
        return None
    first, *lines = bytes(buffer[:end]).decode("latin-1").split("\r\n")
    method, path, _ = first.split(" ", 2)
    headers = {
        name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
    }
    n_body = int(headers.get("content-length", "0"))
    if n_body > _MOST_BODY_BYTES or len(buffer) < end + 4 + n_body:
        return None
    body = bytes(buffer[end + 4 : end + 4 + n_body])
    del buffer[: end + 4 + n_body]
    return Call(method, path.partition("?")[0], body, headers.get("connection", "").lower() != "close")


async def serve(settings: Settings, log: Path, port: int) -> None:
    """Serve on loopback until standard input closes."""
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(settings, handle), "127.0.0.1", port, backlog=256)
    bound = server.sockets[0].getsockname()[1]
    print(json.dumps({"base_url": f"http://127.0.0.1:{bound}/v1", "model": settings.model}), flush=True)
    async with server:
        # whoever started this server holds the other end: when it dies, so does the server
        await loop.run_in_executor(None, sys.stdin.read)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--log", type=Path, required=True, help="where every call is noted")
    parser.add_argument("--port", type=int, default=0, help="0: a free one")
    parser.add_argument("--model", default="mock")
    parser.add_argument("--seconds", type=float, nargs=2, default=(0.1, 0.3), metavar=("LEAST", "MOST"))
    parser.add_argument("--no-logprobs", action="store_true", help="answer like a server without them")
    chosen = parser.parse_args()
    settings = Settings(chosen.model, (chosen.seconds[0], chosen.seconds[1]), not chosen.no_logprobs)
    asyncio.run(serve(settings, chosen.log, chosen.port))


if __name__ == "__main__":
    main()
