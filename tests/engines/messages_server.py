"""A real server on loopback that speaks the Anthropic Messages API by rule and refuses what that refuses.

What it answers depends on the messages alone. `ahead` holds replies that go out before it answers by rule;
`calls` is everything that it was asked.
"""

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from publius.engines.protocol import GenerateRequest, Sampling
from publius.engines.scripted import default_reply
from publius.records import Message, content_hash

KEY = "sk-only-for-this-test"
MODEL = "test-claude"
KNOWN_FIELDS = {
    *("max_tokens", "messages", "metadata", "model", "stop_sequences", "stream", "system", "temperature"),
    *("thinking", "top_k", "top_p"),
}


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply of its own: an error body is made from a text, anything else is sent as it is."""

    status: int
    body: Mapping[str, Any] | bytes | str
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Call:
    path: str
    headers: Mapping[str, str]
    body: Mapping[str, Any]


def message(text: str, stop_reason: str | None = "end_turn", **more: object) -> dict[str, Any]:
    """Return the body of a good answer."""
    return {
        "type": "message",
        "role": "assistant",
        "model": MODEL,
        "content": [{"type": "text", "text": text}] if text else [],
        "stop_reason": stop_reason,
        "stop_sequence": None,
        "usage": {"input_tokens": 11, "output_tokens": 3},
        **more,
    }


@dataclass
class MessagesServer:
    """Serves between `start` and `stop`. `max_context` in words.

    `refuses_blank`: text of white space alone is refused, as by Anthropic's own servers and not by others.
    `takes_temperature`, `takes_prefill`: it is a model from before these were taken away.
    """

    max_context: int = 512
    refuses_blank: bool = True
    takes_temperature: bool = True
    takes_prefill: bool = True
    has_models: bool = True
    ahead: list[Reply] = field(default_factory=list[Reply])
    calls: list[Call] = field(default_factory=list[Call])

    def start(self) -> "MessagesServer":
        self._http = _Listener(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join(10)

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}"

    def questions(self) -> list[Call]:
        """Return the calls after those of the probe."""
        return [call for call in self.calls if call.path == "/v1/messages"][2:]

    def reply(self, path: str, headers: Mapping[str, str], body: Mapping[str, Any] | None) -> Reply:
        """Return the reply to a call; `body` is None for GET."""
        if headers.get("x-api-key") != KEY:
            return Reply(401, "authentication_error: invalid x-api-key")
        if headers.get("anthropic-version") not in ("2023-06-01", "2026-10-21"):
            return Reply(400, "invalid_request_error: anthropic-version: header is required")
        if body is None:
            if path != f"/v1/models/{MODEL}" or not self.has_models:
                return Reply(404, f"not_found_error: {path.removeprefix('/v1/')}")
            return Reply(200, {"type": "model", "id": MODEL, "max_input_tokens": self.max_context})
        if path != "/v1/messages":
            return Reply(404, "not_found_error: Not Found")
        if self.ahead:
            return self.ahead.pop(0)
        problem = self._problem(body)
        return Reply(*problem) if problem else Reply(200, _answer(body))

    def _problem(self, body: Mapping[str, Any]) -> tuple[int, str] | None:
        """Return what is wrong with a request, as the API says it."""
        refused = "invalid_request_error: "
        if body.get("model") != MODEL:
            return 404, f"not_found_error: model: {body.get('model')}"
        if strange := sorted(body.keys() - KNOWN_FIELDS):
            return 400, f"{refused}{strange[0]}: Extra inputs are not permitted"
        if not isinstance(body.get("max_tokens"), int) or body["max_tokens"] < 1:
            return 400, f"{refused}max_tokens: Field required"
        if "temperature" in body and not self.takes_temperature:
            return 400, f"{refused}`temperature` is deprecated for this model."
        if not 0 <= body.get("temperature", 1) <= 1:
            return 400, f"{refused}temperature: range: 0..1"
        if any(not stop.strip() for stop in body.get("stop_sequences", [])):
            return 400, f"{refused}stop_sequences: each stop sequence must contain non-whitespace"
        turns = body["messages"]
        if not turns or any(turn["role"] not in ("user", "assistant") for turn in turns):
            return (
                400,
                f"{refused}messages: at least one message is required, with the role user or assistant",
            )
        if self.refuses_blank and any(not turn["content"].strip() for turn in turns):
            return 400, f"{refused}messages: text content blocks must contain non-whitespace text"
        if turns[-1]["role"] == "assistant" and not self.takes_prefill:
            return 400, f"{refused}This model does not support assistant message prefill."
        if turns[-1]["role"] == "assistant" and turns[-1]["content"][-1:].isspace():
            return 400, f"{refused}messages: final assistant content cannot end with trailing whitespace"
        n_words = _n_words(body)
        if n_words + body["max_tokens"] > self.max_context:
            return 400, f"{refused}prompt is too long: {n_words} tokens > {self.max_context} maximum"
        return None


def _answer(body: Mapping[str, Any]) -> dict[str, Any]:
    turns = tuple(Message(turn["role"], turn["content"]) for turn in body["messages"])
    system = (Message("system", body["system"]),) if "system" in body else ()
    prefill = turns[-1].content if turns[-1].role == "assistant" else ""
    if prefill == "(":  # it is to choose between A and B
        text = "A)" if int(content_hash(turns)[-1], 16) % 2 else "B)"
        return message(text, usage={"input_tokens": _n_words(body), "output_tokens": 1})
    asked = GenerateRequest("r", (*system, *turns), Sampling(1, temperature=0.0), prefill)
    words = default_reply(asked).split(" ")
    text, reason, n_words = " ".join(words), "end_turn", len(words)
    if n_words >= body["max_tokens"]:
        n_words = body["max_tokens"]
        text, reason = " ".join(words[:n_words]), "max_tokens"
    starts = {text.index(stop): stop for stop in body.get("stop_sequences", []) if stop in text}
    if starts:
        text, reason = text[: min(starts)], "stop_sequence"
    usage = {"input_tokens": _n_words(body), "output_tokens": n_words}
    return message(text, reason, stop_sequence=starts[min(starts)] if starts else None, usage=usage)


def _n_words(body: Mapping[str, Any]) -> int:
    texts = [body.get("system", ""), *(turn["content"] for turn in body["messages"])]
    return sum(1 + len(text.split()) for text in texts)


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128  # of connections that come at once, none waits for its second try


def _handler(server: MessagesServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            self._serve(None)

        def do_POST(self) -> None:
            self._serve(json.loads(self.rfile.read(int(self.headers["content-length"]))))

        def log_message(self, format: str, *args: object) -> None:
            pass

        def _serve(self, body: Mapping[str, Any] | None) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            server.calls.append(Call(self.path, headers, body or {}))
            reply = server.reply(self.path, headers, body)
            content = reply.body
            if isinstance(content, str):
                kind, _, text = content.partition(": ")
                content = {"type": "error", "error": {"type": kind, "message": text}, "request_id": "req_1"}
            raw = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(reply.status)
            for name, value in {"content-type": "application/json", **reply.headers}.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

    return Handler
