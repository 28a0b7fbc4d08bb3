"""One attempt at a call over httpx2: whatever happens becomes an outcome, bounded in bytes and in time.

No redirect is followed, no cookie is kept, and what the server sends back is searched for the key before
anybody sees it; so the key goes to one host and into no message.

Paper: none.
"""

import asyncio
import http.cookiejar
import ipaddress
import json
import socket
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httpx2

from publius.engines.http_body import shown
from publius.engines.http_policy import FaultKind, HttpAnswer, HttpFault, HttpOutcome
from publius.engines.http_retry import HttpCall
from publius.errors import DataError

_HIDDEN = "[the key]"
_CONNECTIONS_EACH = 8


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a server is. `headers` go with every call; `secret` is the key among them, if there is one.

    `timeout_s` is for a whole attempt, from the first byte sent to the last one read.
    """

    base_url: str
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    secret: str = field(default="", repr=False)
    timeout_s: float = 600.0
    connect_timeout_s: float = 10.0
    max_body_bytes: int = 16 * 2**20


def check_base_url(text: str) -> str:
    """Return the base URL without its last slash.

    Raises:
        DataError: It is no http or https URL, or it carries a name, a key or a query; it is not shown
            then, as these may be secret.

    >>> check_base_url("http://127.0.0.1:8000/v1/")
    'http://127.0.0.1:8000/v1'
    """
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise DataError("base_url is not a URL", where="base_url", todo=_URL_HINT) from error
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise DataError(
            "base_url carries more than an address, such as a password or a query",
            where="base_url",
            todo="keep the key in an environment variable and name it in api_key_env",
        )
    if parts.scheme not in ("http", "https") or not host or any(char.isspace() for char in text):
        raise DataError(f"base_url is {shown(text, 80)!r}", where="base_url", todo=_URL_HINT)
    return text.rstrip("/")


_URL_HINT = "write it like https://api.example.org/v1"


class HttpSender:
    """Sends calls to one endpoint, over at most `n_connections` connections that it keeps open.

    httpx2 looks at every connection of a client for each call, so many connections are spread over several
    clients: with 256 in one, a call costs four times the CPU.
    """

    def __init__(self, endpoint: Endpoint, *, n_connections: int) -> None:
        self._endpoint = endpoint
        n_clients = -(-n_connections // _CONNECTIONS_EACH)
        # a proxy of the environment is for the outside; the machine itself is reached directly
        trust_env = not is_this_machine(endpoint.base_url)
        verify = httpx2.create_ssl_context(trust_env=trust_env)
        self._clients = [_client(endpoint, verify=verify, trust_env=trust_env) for _ in range(n_clients)]
        self._n_busy = [0] * n_clients

    async def __call__(self, call: HttpCall) -> HttpOutcome:
        """Return the answer, whole, or what kept it from coming."""
        index = self._n_busy.index(min(self._n_busy))
        self._n_busy[index] += 1
        try:
            async with asyncio.timeout(self._endpoint.timeout_s):
                return await self._attempt(self._clients[index], call)
        except TimeoutError:
            return HttpFault("timeout", f"no whole answer within {self._endpoint.timeout_s:g} s")
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError, UnicodeError) as error:
            return _fault(error, secret=self._endpoint.secret)
        finally:
            self._n_busy[index] -= 1

    async def close(self) -> None:
        """Close all connections."""
        for client in self._clients:
            await client.aclose()

    async def _attempt(self, client: httpx2.AsyncClient, call: HttpCall) -> HttpOutcome:
        content = None if call.body is None else json.dumps(call.body, allow_nan=False).encode("ascii")
        headers = {} if content is None else {"content-type": "application/json"}
        limit = self._endpoint.max_body_bytes
        url = self._endpoint.base_url + call.path
        async with client.stream(call.method, url, content=content, headers=headers) as response:
            body = bytearray()
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > limit:
                    return HttpFault("too-large", f"the answer is larger than {limit} bytes")
            secret = self._endpoint.secret
            names = {name.lower(): _hide(value, secret) for name, value in response.headers.items()}
            whole = bytes(body)
            if secret and not response.is_success:  # an answer is data, and may hold any word
                whole = whole.replace(secret.encode(), _HIDDEN.encode())
            return HttpAnswer(response.status_code, names, whole)


def _client(endpoint: Endpoint, *, verify: ssl.SSLContext, trust_env: bool) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(
        headers={"user-agent": "publius", **endpoint.headers},
        cookies=http.cookiejar.CookieJar(http.cookiejar.DefaultCookiePolicy(allowed_domains=[])),
        follow_redirects=False,
        trust_env=trust_env,
        verify=verify,
        timeout=httpx2.Timeout(endpoint.timeout_s, connect=endpoint.connect_timeout_s, pool=None),
        limits=httpx2.Limits(max_connections=_CONNECTIONS_EACH, max_keepalive_connections=_CONNECTIONS_EACH),
    )


def is_this_machine(base_url: str) -> bool:
    """Return whether the URL's host is a loopback address.

    >>> is_this_machine("http://[::1]:8080/v1"), is_this_machine("https://api.example.org")
    (True, False)
    """
    host = urlsplit(base_url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _fault(error: Exception, *, secret: str) -> HttpFault:
    kind = _kind(error)
    said = shown(_hide(str(error), secret), 200) or type(error).__name__
    return HttpFault(kind, f"{_WORDS[kind]}: {said}")


_WORDS: Mapping[FaultKind, str] = {
    "connect": "no connection to the server",
    "read": "the connection broke",
    "timeout": "the server took too long",
    "protocol": "the connection broke or spoke no HTTP",
    "name": "the server's name is not known",
    "tls": "the server's certificate or encryption was refused",
    "too-large": "the answer is too large",
    "encoding": "the answer's compression is broken",
    "unsendable": "the call cannot be sent",
}


def _kind(error: Exception) -> FaultKind:
    """Return what an exception means; the causes under it tell names and certificates apart."""
    for cause in _causes(error):
        if isinstance(cause, socket.gaierror):
            return "connect" if cause.errno == socket.EAI_AGAIN else "name"
        if isinstance(cause, ssl.SSLError) and not isinstance(
            cause, ssl.SSLEOFError | ssl.SSLZeroReturnError
        ):
            return "tls"
    for kind, types in _KINDS:
        if isinstance(error, types):
            return kind
    return "unsendable"


_TLS_ENDED = (ssl.SSLEOFError, ssl.SSLZeroReturnError)  # the other side hung up, which may not last
_KINDS: tuple[tuple[FaultKind, tuple[type[Exception], ...]], ...] = (
    ("timeout", (httpx2.TimeoutException,)),
    ("connect", (httpx2.ConnectError, httpx2.ProxyError, OSError)),
    ("read", (httpx2.NetworkError,)),
    ("protocol", (httpx2.RemoteProtocolError,)),
    ("encoding", (httpx2.DecodingError,)),
)


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        if isinstance(seen, BaseExceptionGroup):
            for inner in seen.exceptions:
                yield from _causes(inner)
        seen = seen.__cause__ or seen.__context__


def _hide(text: str, secret: str) -> str:
    return text.replace(secret, _HIDDEN) if secret else text
