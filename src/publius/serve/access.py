"""Who may ask: on loopback anyone on this machine, elsewhere only who has the key.

Without a key only requests to a loopback name are answered: a web page that a browser shows can send
requests to 127.0.0.1 under a name of its own, and those carry that name in `Host`. The key is taken as a
bearer token, or as the password of basic authentication: clients that know nothing but a URL can then
write it as `http://publius:KEY@host:port/get_reward`.

Paper: none.
"""

import base64
import hmac
import ipaddress
from collections.abc import Mapping

from publius.errors import UsageError
from publius.serve.refusal import Refusal


def check_binding(host: str, *, key: str | None) -> None:
    """Refuse to listen beyond this machine without a key.

    Raises:
        UsageError: `host` is not a loopback address and there is no key.

    >>> check_binding("127.0.0.1", key=None)
    """
    if key is None and not is_loopback(host):
        raise UsageError(
            f"{host} can be reached from other machines, and there is no key",
            where="--host",
            todo="put a key into an environment variable and name it with --key-env, or use 127.0.0.1",
        )


def check_request(headers: Mapping[str, str], *, key: str | None) -> None:
    """Refuse a request that may not ask; names of headers are in lower case.

    Raises:
        Refusal: 401 for a wrong or missing key, 403 for a foreign host name.
    """
    if key is None:
        if not is_loopback(_host_name(headers.get("host", ""))):
            raise Refusal(403, "forbidden_host", "without a key only requests to a loopback name count")
        return
    given = _given_key(headers.get("authorization", ""))
    # a key from the environment may hold bytes that are not UTF-8
    if not hmac.compare_digest(given, key.encode(errors="surrogateescape")):
        raise Refusal(401, "wrong_key", "give the key: Authorization: Bearer KEY")


def is_loopback(host: str) -> bool:
    """Return whether a host name or address is this machine's own, reachable from nowhere else.

    >>> is_loopback("localhost"), is_loopback("::1"), is_loopback("0.0.0.0"), is_loopback("127.0.0.1.nip.io")
    (True, True, False, False)
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _host_name(value: str) -> str:
    """Return the name in a Host header, without port and brackets."""
    if value.startswith("["):
        return value[1:].partition("]")[0]
    return value.partition(":")[0]


def _given_key(value: str) -> bytes:
    scheme, _, rest = value.partition(" ")
    if scheme.lower() == "bearer":
        return rest.strip().encode("latin-1", errors="replace")  # as the server took the header's bytes
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(rest.strip(), validate=True).partition(b":")[2]
        except ValueError:  # not base64, or not even ASCII
            return b""
    return b""
