"""The routes: what is asked, what is answered, and how errors look.

Every answer is JSON; an error is `{"error": {"type": …, "message": …}}` and never a traceback. Bodies must be
sent as `application/json`: a form of a web page cannot do that without asking first.

Paper: none.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from publius.errors import DataError, PubliusError
from publius.preference.score import PreferenceModel, Unscored
from publius.records import encode
from publius.serve.access import check_request
from publius.serve.bodies import (
    Query,
    parse_object,
    read_conversations,
    read_queries,
    reward_answer,
    score_answer,
)
from publius.serve.queries import QueryReader
from publius.serve.refusal import Refusal
from publius.serve.scoring import Scoring
from publius.serve.settings import Settings

Handler: TypeAlias = Callable[[Mapping[str, Any]], Awaitable[dict[str, Any]]]


def build_app(pm: PreferenceModel, reader: QueryReader | None, settings: Settings) -> Starlette:
    """Return the app that serves a preference model; without a reader `/get_reward` refuses."""
    scoring = Scoring(
        lambda conversations: pm.score_each(conversations, batch_size=settings.batch_size),
        merges=settings.batch_size > 1,
    )

    async def score(body: Mapping[str, Any]) -> dict[str, Any]:
        # a large body takes seconds to read: not in the thread that answers everyone
        conversations = await asyncio.to_thread(read_conversations, body)
        return score_answer(await scoring.rewards(conversations), pm.scale)

    async def get_reward(body: Mapping[str, Any]) -> dict[str, Any]:
        if reader is None:
            raise Refusal(501, "no_texts", "this chat template cannot be read back; post messages to /score")
        read = await asyncio.to_thread(_read_all, reader, body)
        rewards = iter(await scoring.rewards([one for one in read if not isinstance(one, Unscored)]))
        return reward_answer([one if isinstance(one, Unscored) else next(rewards) for one in read])

    async def health(body: Mapping[str, Any]) -> dict[str, Any]:
        scale = None if pm.scale is None else encode(pm.scale)
        context = {"max_length": pm.max_length, "is_prompted": bool(pm.prefix)}
        return {"status": "ok", "model": settings.name, **context, "scale": scale}

    routes = [
        Route("/score", _answering(score, settings), methods=["POST"]),
        Route("/get_reward", _answering(get_reward, settings), methods=["POST"]),
        Route("/health", _answering(health, settings), methods=["GET"]),
    ]
    return Starlette(routes=routes, exception_handlers={HTTPException: _no_route})


def _read_all(reader: QueryReader, body: Mapping[str, Any]) -> list[Any]:
    return [_read(reader, query) for query in read_queries(body)]


def _read(reader: QueryReader, query: Query) -> Any:
    try:
        return reader.read(query.text, prompt=query.prompt)
    except DataError as error:
        reason = f"{error.what}; {error.todo}" if error.todo else error.what
        return Unscored("not a conversation", reason)


def _answering(handler: Handler, settings: Settings) -> Callable[[Request], Awaitable[Response]]:
    """Return the endpoint of a handler: access, size and JSON are checked, errors become answers."""

    async def endpoint(request: Request) -> Response:
        try:
            check_request(request.headers, key=settings.key)
            body = parse_object(await _body(request, settings)) if request.method == "POST" else {}
            return _json(200, await handler(body))
        except Refusal as refusal:
            return _json(refusal.status, refusal.body())
        except ClientDisconnect:
            return _json(400, Refusal(400, "gone", "the client went away").body())
        except PubliusError as error:
            return _json(500, Refusal(500, "model", str(error)).body())
        except Exception as error:  # the boundary: a client is told, and gets no traceback
            message = f"unexpected {type(error).__name__}: {error!s:.200}"
            return _json(500, Refusal(500, "unexpected", message).body())

    return endpoint


async def _body(request: Request, settings: Settings) -> bytes:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Refusal(415, "not_json", "send the body as application/json")
    too_large = Refusal(413, "too_large", f"the body is larger than {settings.max_body_bytes:,} bytes")
    length = request.headers.get("content-length", "0")
    if length.isdecimal() and int(length) > settings.max_body_bytes:
        raise too_large
    parts: list[bytes] = []
    n_bytes = 0
    async for part in request.stream():
        n_bytes += len(part)
        if n_bytes > settings.max_body_bytes:
            raise too_large
        parts.append(part)
    return b"".join(parts)


async def _no_route(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    if status == 405:
        return _json(405, Refusal(405, "wrong_method", f"{request.method} is not answered here").body())
    message = "there are POST /score, POST /get_reward and GET /health"
    return _json(status, Refusal(status, "no_such_path", message).body())


def _json(status: int, value: dict[str, Any]) -> Response:
    # Python writes a float with as many digits as give it back exactly; escapes keep half surrogates legal
    content = json.dumps(value, ensure_ascii=True, allow_nan=False)
    return Response(content, status_code=status, media_type="application/json")
