"""A real server on loopback that answers as the OpenAI protocol says, or fails as it is told, and logs calls.

What to do stands in the question: the text `status-500|17` asks for the fault `status-500`, for the item
17. A `Fault` says what happens to each call of an item; a text that names no fault gets a good answer. So
one server, one engine and one run can meet every fault, and a probe is answered as by a good server.
"""

import asyncio
import json
import random
import socket
import ssl
import struct
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Reply:
    """The bytes that go out, and what the connection does after them."""

    raw: bytes
    end: Literal["keep", "close", "reset", "hang", "drip"] = "keep"


@dataclass(frozen=True, slots=True)
class Call:
    """A call as it came in: `item` is the question's text, up to the fault's name and number."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: Body
    item: str


# A fault: the reply to a call from what the client asked, how often this item was asked before, and chance.
Fault = Callable[[Body, int, random.Random], Reply]


def http(status: int, body: Body | bytes, **headers: str) -> bytes:
    """Return a whole answer; underscores in the names of headers are hyphens."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    fields = {"content-type": "application/json", "content-length": str(len(content))} | named
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {status} Said\r\n{head}\r\n".encode() + content


def completion(text: str | None, finish: str | None = "stop", **message: object) -> dict[str, Any]:
    """Return the body of a good answer."""
    said = {"role": "assistant", "content": text, **message}
    return {
        "object": "chat.completion",
        "choices": [{"index": 0, "message": said, "finish_reason": finish}],
        "usage": {"prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 14},
    }


def logprobs(listed: Mapping[str, float]) -> dict[str, Any]:
    """Return the log-probabilities of one token, the likeliest first."""
    top = [{"token": token, "logprob": value} for token, value in listed.items()]
    return {"content": [{**top[0], "top_logprobs": top}]}


def good(body: Body) -> dict[str, Any]:
    """Answer as a server does that lists log-probabilities, with the question's text in the answer."""
    answer = completion(f"You said: {question_of(body)}")
    if body.get("logprobs"):
        answer = completion("1", "length")
        answer["choices"][0]["logprobs"] = logprobs({"1": -0.2, "2": -2.0, "x": -6.0})
    return answer


def question_of(body: Body) -> str:
    """Return the text of the last message."""
    messages = body.get("messages") or [{}]
    return str(messages[-1].get("content", ""))


@dataclass
class FaultServer:
    """Serves from a thread between `start` and `stop`. `calls` grows with every call that came in whole.

    `answer` makes a good answer out of a request; `models` is what `/v1/models` lists; `routes` are further
    paths with their answers. With a `key`, calls without it are refused. `tls_port` speaks TLS with a
    certificate that nobody signed, `plain_port` no TLS, and on `closed_port` nobody listens.
    """

    faults: Mapping[str, Fault] = field(default_factory=dict)
    answer: Callable[[Body], Body] = good
    models: tuple[Body, ...] = ({"id": "test-model", "object": "model"},)
    routes: Mapping[str, Callable[[Body], Body]] = field(default_factory=dict)
    key: str = ""
    seed: int = 0
    calls: list[Call] = field(default_factory=list)

    def start(self) -> "FaultServer":
        self._chance = random.Random(self.seed)
        self._seen: Counter[str] = Counter()
        self._loop = asyncio.new_event_loop()
        started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(started,), daemon=True)
        self._thread.start()
        if not started.wait(10):
            raise RuntimeError("the fault server did not start")
        return self

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def __enter__(self) -> "FaultServer":
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def calls_of(self, item: str) -> list[Call]:
        """Return the calls for an item, in order."""
        return [call for call in self.calls if call.item == item]

    def forget(self, fault: str) -> None:
        """Forget the calls for a fault's items, as if none had been made."""
        self.calls[:] = [call for call in self.calls if call.item.partition("|")[0] != fault]
        for item in [item for item in self._seen if item.partition("|")[0] == fault]:
            del self._seen[item]

    def _run(self, started: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._listen())
        started.set()
        self._loop.run_forever()
        self._closed.close()
        for server in self._servers:
            server.close()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.close()

    async def _listen(self) -> None:
        self._loop.set_exception_handler(lambda *_: None)  # broken connections are what this is for
        self._servers = [
            await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=2**24),
            await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=_unsigned()),
            await asyncio.start_server(self._serve_no_tls, "127.0.0.1", 0),
        ]
        ports = [server.sockets[0].getsockname()[1] for server in self._servers]
        self.port, self.tls_port, self.plain_port = ports
        self._closed = socket.socket()  # bound and never listening: every connection is refused
        self._closed.bind(("127.0.0.1", 0))
        self.closed_port = self._closed.getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (call := await _read_call(reader)) is not None:
                self.calls.append(call)
                if not await _send(writer, self._reply(call)):
                    break
        except (OSError, asyncio.IncompleteReadError):
            pass  # the client left
        finally:
            writer.close()

    async def _serve_no_tls(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(64)
        writer.write(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")
        writer.close()

    def _reply(self, call: Call) -> Reply:
        if self.key and call.headers.get("authorization") != f"Bearer {self.key}":
            said = call.headers.get("authorization", "nothing")
            return Reply(http(401, {"error": {"message": f"wrong key: {said}"}}))
        if call.path in self.routes:
            return Reply(http(200, self.routes[call.path](call.body)))
        if call.method == "GET":
            is_known = call.path == "/v1/models"
            return Reply(http(200, {"data": list(self.models)}) if is_known else http(404, {"detail": "no"}))
        fault = self.faults.get(call.item.partition("|")[0])
        n_before = self._seen[call.item]
        self._seen[call.item] += 1
        if fault is not None:
            return fault(call.body, n_before, self._chance)
        if call.path != "/v1/chat/completions":
            return Reply(http(404, {"detail": "Not Found"}))
        return Reply(http(200, self.answer(call.body)))


async def _read_call(reader: asyncio.StreamReader) -> Call | None:
    """Return the next call on a connection, or None when it is closed."""
    head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    method, path, _ = first.split(" ", 2)
    headers = {
        name.strip().lower(): value.strip()
        for name, _, value in (line.partition(":") for line in lines if line)
    }
    content = await reader.readexactly(int(headers.get("content-length", 0)))
    body = json.loads(content) if content else {}
    return Call(method, path, headers, body, question_of(body))


async def _send(writer: asyncio.StreamWriter, reply: Reply) -> bool:
    """Send a reply; return whether the connection stays open."""
    if reply.end == "drip":
        for byte in reply.raw:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0.02)
    writer.write(reply.raw)
    await writer.drain()
    if reply.end == "hang":
        await asyncio.sleep(3600)
    if reply.end == "reset":
        # closing a socket that lingers for no time sends RST instead of FIN
        raw: socket.socket = writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return reply.end == "keep"


def _unsigned() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "certificate.pem"
        path.write_text(_CERTIFICATE)
        context.load_cert_chain(path)
    return context


# For tests of refusal only: the key is public, nobody signed the certificate, and nothing may trust it.
_CERTIFICATE = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgrGjuCIwc3UhvPpzt
kw6Lzxgvp8ZT3Oc8glA883f1OBihRANCAATpjM4xZeCxn+nh0whjur4hZ2Ts+NU6
CWsis3Czw7w4Z9b0XdL8PrmlZiFww3wNv+u7p1ZchH41J9dPASLMh9Cj
-----END PRIVATE KEY-----
-----BEGIN CERTIFICATE-----
MIIBmzCCAUGgAwIBAgIUP0hPpskF7RC5PDqf0/hibu2cSrIwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyMjE5MTkzNloYDzIxMjYxMDI5
MTkxOTM2WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAATpjM4xZeCxn+nh0whjur4hZ2Ts+NU6CWsis3Czw7w4Z9b0XdL8Prml
ZiFww3wNv+u7p1ZchH41J9dPASLMh9Cjo28wbTAdBgNVHQ4EFgQUV86V0zhvdsmX
9vEBCIy6QycK/ggwHwYDVR0jBBgwFoAUV86V0zhvdsmX9vEBCIy6QycK/ggwDwYD
VR0TAQH/BAUwAwEB/zAaBgNVHREEEzARgglsb2NhbGhvc3SHBH8AAAEwCgYIKoZI
zj0EAwIDSAAwRQIhAPlMM5eOtv8Q43H8ru/YCrni1JE9f+uduc89+YR8mSUoAiAW
DHdBUX3vO54+QveMVE2qAleO4fcKTdmOYdAb9TGXvw==
-----END CERTIFICATE-----
"""
