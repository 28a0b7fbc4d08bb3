"""Which outcome is retried, after how long, and by whose word."""

from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from publius.engines.http_policy import (
    FaultKind,
    HttpAnswer,
    HttpFault,
    HttpPolicy,
    Retry,
    backoff_s,
    next_try,
    retry_after_s,
)

NOW = 1_800_000_000.0
POLICY = HttpPolicy()


def after(status: int, n_retries: int = 0, **headers: str) -> Retry | None:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return next_try(HttpAnswer(status, named, b""), n_retries, POLICY, jitter=0.0, now=NOW)


@pytest.mark.parametrize("status", [408, 409, 429, 500, 501, 502, 503, 504, 520, 529, 599])
def test_what_may_pass_is_tried_again(status: int):
    assert after(status) is not None


@pytest.mark.parametrize(
    "status", [200, 204, 301, 302, 307, 400, 401, 402, 403, 404, 405, 410, 413, 415, 418, 422, 425, 451]
)
def test_what_would_fail_again_is_not(status: int):
    assert after(status) is None


@pytest.mark.parametrize(
    ("kind", "is_retried"),
    [
        *(("connect", True), ("read", True), ("timeout", True), ("protocol", True)),
        *(("name", False), ("tls", False), ("too-large", False), ("encoding", False), ("unsendable", False)),
    ],
)
def test_faults_of_the_way(kind: FaultKind, is_retried: bool):
    retry = next_try(HttpFault(kind, "why"), 0, POLICY, jitter=0.0, now=NOW)
    assert (retry is not None) == is_retried
    assert retry is None or not retry.pauses_all


def test_retries_end():
    assert [after(500, n) is not None for n in range(7)] == [True] * 5 + [False] * 2
    assert next_try(HttpAnswer(500, {}, b""), 0, HttpPolicy(max_retries=0), jitter=0.0, now=NOW) is None


def test_the_server_has_the_last_word_on_retrying_but_not_on_a_good_answer():
    assert after(500, x_should_retry="false") is None
    assert after(400, x_should_retry="true") is not None
    assert after(200, x_should_retry="true") is None
    assert after(500, x_should_retry="perhaps") is not None
    assert after(500, 5, x_should_retry="true") is None


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after-ms": "250"}, 0.25),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after-ms": "soon", "retry-after": "9"}, 9.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": formatdate(NOW + 45, usegmt=True)}, 45.0),
        ({"retry-after": "1000000000"}, 1e9),
        ({}, None),
        ({"retry-after": "0"}, None),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "later"}, None),
        ({"retry-after": formatdate(NOW - 45, usegmt=True)}, None),
        ({"retry-after": "Thu, 99 Foo 99999 99:99:99 GMT"}, None),
        ({"retry-after-ms": "0", "retry-after": "-1"}, None),
    ],
)
def test_retry_after_in_its_three_forms(headers: dict[str, str], seconds: float | None):
    assert retry_after_s(headers, now=NOW) == seconds


def test_a_wait_is_obeyed_up_to_the_cap_and_beyond_it_there_is_no_retry():
    assert after(429, retry_after="120") == Retry(120.0, pauses_all=True)
    assert after(429, retry_after="121") is None
    assert after(500, retry_after="121") is None
    longer = HttpPolicy(retry_after_max_s=3600)
    answer = HttpAnswer(429, {"retry-after": "600"}, b"")
    assert next_try(answer, 0, longer, jitter=0.0, now=NOW) == Retry(600.0, pauses_all=True)


def test_who_is_paused():
    assert after(429) == Retry(0.5, pauses_all=True)
    assert after(503, retry_after="3") == Retry(3.0, pauses_all=True)
    assert after(529, retry_after="3") == Retry(3.0, pauses_all=True)
    assert after(503) == Retry(0.5, pauses_all=False)  # one poisonous request must not stop the others
    assert after(500, retry_after="3") == Retry(3.0, pauses_all=False)


@given(st.integers(0, 10**6), st.floats(0, 1, exclude_max=True))
def test_the_wait_without_a_word(n_retries: int, jitter: float):
    whole = min(0.5 * 2 ** min(n_retries, 10), 8.0)
    assert 0.75 * whole <= backoff_s(n_retries, POLICY, jitter=jitter) <= whole


@given(st.text(), st.text(), st.integers(0, 6))
def test_no_header_breaks_the_policy_or_stretches_a_wait(first: str, second: str, n_retries: int):
    headers = {"retry-after-ms": first, "retry-after": second, "x-should-retry": second}
    retry = next_try(HttpAnswer(429, headers, b""), n_retries, POLICY, jitter=0.5, now=NOW)
    assert retry is None or 0 < retry.wait_s <= POLICY.retry_after_max_s
