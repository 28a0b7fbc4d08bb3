"""What a call that brought no answer means: a failure of one item with its owner, or the end of the run.

A wrong key, a model or path that is not there, or an empty account will refuse every call alike, so they
end the run. A prompt that the server refuses is ours; a content filter is the model's; everything else is
the engine's, and is asked again when the same command is run again.

Paper: none.
"""

from dataclasses import dataclass

from publius.engines.http_body import NotJson, error_code, error_message, read_json, shown
from publius.engines.http_policy import HttpAnswer, HttpFault
from publius.engines.http_retry import HttpResult
from publius.engines.protocol import Failure

_REFUSED_INPUT = frozenset((400, 413, 422))
_FILTERED_STATUS = frozenset((400, 403, 422, 451))
# in the error's code; a message may repeat words of the prompt, so of it only whole phrases count
_FILTER_CODES = ("content_filter", "content_policy", "contentfilter", "moderation", "flagged", "safety")
_FILTER_PHRASES = (
    "content filter", "content management policy", "content policy", "flagged by", "blocked by", "moderation",
)  # fmt: skip
_TOO_LONG = ("context length", "context_length", "maximum context", "too many tokens", "too long", "exceeds")
_EMPTY_ACCOUNT = ("insufficient_quota", "credit balance", "billing_hard_limit", "billing_not_active")


@dataclass(frozen=True, slots=True)
class Fatal:
    """Why no further call makes sense, and what to do.

    A refusal that does not hold for all calls ends the run only while no call has been answered: a firewall
    that dislikes one prompt, or one replica that starts again, says the same as a wrong key or name.
    """

    what: str
    todo: str
    holds_for_all: bool = True


def read_refusal(request_id: str, result: HttpResult) -> Failure | Fatal:
    """Return what a result that is no answer (a fault, or a status that is not 2xx) means.

    >>> read_refusal("r", HttpResult("1", HttpAnswer(401, {}, b'{"error": {"message": "who?"}}'), 1)).what
    'the server refused the key (401): who?'
    """
    outcome = result.outcome
    calls = "1 call" if result.n_calls == 1 else f"{result.n_calls} calls"
    if isinstance(outcome, HttpFault):
        return Failure(request_id, "engine", f"{outcome.reason} (after {calls})")
    message, code = said_by(outcome), _code(outcome)
    reason = f"the server refused it ({outcome.status}): {message}"
    said = f"{code} {message.lower()}"
    is_filtered = any(word in code.lower() for word in _FILTER_CODES) or (
        any(phrase in said for phrase in _FILTER_PHRASES) and not any(word in said for word in _TOO_LONG)
    )
    if outcome.status in _FILTERED_STATUS and is_filtered:
        return Failure(request_id, "model", reason)
    fatal = _fatal(outcome.status, said, message)
    if fatal is not None:
        return fatal
    if outcome.status in _REFUSED_INPUT:
        return Failure(request_id, "input", reason)
    return Failure(request_id, "engine", f"the server answered {outcome.status} (after {calls}): {message}")


def said_by(answer: HttpAnswer) -> str:
    """Return what an error answer says, fit to be shown.

    >>> said_by(HttpAnswer(500, {}, b"<html>Bad gateway</html>"))
    'the answer is HTML or XML, not JSON: <html>Bad gateway</html>'
    """
    if 300 <= answer.status < 400:
        return f"it points to {shown(answer.headers.get('location', 'nowhere'), 120)}, and is not followed"
    wait = answer.headers.get("retry-after")
    asks = f" (it asks to wait: {shown(wait, 40)})" if wait else ""
    try:
        message = error_message(read_json(answer.content, answer.headers.get("content-type", "")))
    except NotJson as error:
        message = str(error)
    return (message or "it gives no reason") + asks


def _fatal(status: int, said: str, message: str) -> Fatal | None:
    if status in (401, 403):
        return Fatal(
            f"the server refused the key ({status}): {message}",
            "check the key and what it may do",
            holds_for_all=status == 401,
        )
    if status == 404:
        return Fatal(
            f"the server does not know this model or path (404): {message}",
            "check the model's name and base_url, which usually ends in /v1",
            holds_for_all=False,
        )
    if status == 402 or (status == 429 and any(word in said for word in _EMPTY_ACCOUNT)):
        return Fatal(
            f"the account is empty ({status}): {message}", "fill it, then run the same command again"
        )
    return None


def _code(answer: HttpAnswer) -> str:
    try:
        return error_code(read_json(answer.content))
    except NotJson:
        return ""
