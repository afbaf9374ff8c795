"""The server that takes submissions: HTTP routes, alone or in the process of the Streamlit app.

Nothing here trusts a request: sizes are bounded before anything is read, bodies flow to the disk,
and what touches SQLite or the disk runs in a few threads of its own. `openapi.py` says what the
routes are, `limits.py` what they bear, `desk.py` does what they ask for.
"""

import json
import logging
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, TypeVar, TypeVarTuple

import anyio
import uvicorn
from anyio import to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from harness.errors import HarnessError
from submissions import announced as announcements
from submissions import openapi, tokens
from submissions.announced import SHA256
from submissions.desk import Board, Desk, TooLarge, Wanted, public
from submissions.gate import Gate, network
from submissions.incoming import Incoming, TooLate
from submissions.refusals import Refusal

__all__ = ["Board", "app", "log_requests", "routes", "serve"]

PREFIX = "/api"
CONNECTIONS = 1000  # at once; beyond them, 503 without a look
BLOCK_BYTES = 2**19  # written and hashed at once
THREADS = 4  # that look into SQLite; as many write
ACCESS = logging.getLogger("submissions.access")  # one line of JSON for each request
_LOG = logging.getLogger(__name__)
_HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
}
_T = TypeVar("_T")
_Args = TypeVarTuple("_Args")


class _Denied(HTTPException):
    """A request that is not as it should be."""

    def __init__(self, status: int, sentence: str, **headers: str):
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        super().__init__(status, sentence, named)


def routes(board: Board) -> list[BaseRoute]:
    """The routes of a board, all below /api, for an application of any kind."""
    api = _Api(board)
    inner = Starlette(
        routes=[
            Route("/health", api.health),
            Route("/openapi.json", api.description),
            Route("/datasets", api.datasets),
            Route("/submissions", api.submissions, methods=["GET", "POST"]),
            Route("/submissions/{item}", api.item),
            Route("/submissions/{item}/files/{sha256}", api.put, methods=["PUT"]),
            Route("/submissions/{item}/finish", api.finish, methods=["POST"]),
            Route("/submissions/{item}/withdraw", api.withdraw, methods=["POST"]),
        ],
        middleware=[Middleware(_Recorded)],
        exception_handlers={
            **dict.fromkeys((HarnessError, OSError, sqlite3.OperationalError), _refused),
            HTTPException: _http_error,
            ClientDisconnect: _left,
        },
    )
    inner.router.redirect_slashes = False
    return [Mount(PREFIX, inner)]


def app(board: Board) -> Starlette:
    """An application of these routes alone."""
    made = Starlette(routes=routes(board), exception_handlers={HTTPException: _http_error})
    made.router.redirect_slashes = False
    return made


def serve(board: Board, *, address: str, port: int) -> None:
    """Serves the routes alone until ctrl-C."""
    config = uvicorn.Config(
        app(board),
        host=address,
        port=port,
        access_log=False,  # `ACCESS` says more, and never a token
        log_level="warning",
        server_header=False,
        limit_concurrency=CONNECTIONS,
        timeout_graceful_shutdown=10,
    )
    uvicorn.Server(config).run()


def log_requests() -> None:
    """Writes a line of JSON for each request to stderr."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(message)s"))
    ACCESS.addHandler(handler)
    ACCESS.setLevel(logging.INFO)
    ACCESS.propagate = False


class _Api:
    """The routes' endpoints; they parse, call the desk in a thread, and answer."""

    def __init__(self, board: Board):
        self.limits = board.limits
        self.desk = Desk(board)
        self.gate = Gate(board.limits)
        self._looking = anyio.CapacityLimiter(THREADS)
        self._writing = anyio.CapacityLimiter(THREADS)
        self._parsing = anyio.CapacityLimiter(1)  # announcements, which may be large

    async def health(self, request: Request) -> Response:
        return JSONResponse({"status": "ok", "version": openapi.VERSION})

    async def description(self, request: Request) -> Response:
        self.gate.count("without_token", _client(request))
        return JSONResponse(openapi.description())

    async def datasets(self, request: Request) -> Response:
        self.gate.count("without_token", _client(request))
        return JSONResponse(await self._look(self.desk.data_sets))

    async def submissions(self, request: Request) -> Response:
        account = await self._account(request)
        if request.method != "POST":
            return JSONResponse(await self._look(self.desk.items, account))
        self.gate.count("begun", account)
        _expect(request, "application/json")
        length = _length(request)
        if length > self.limits.announcement_bytes:
            raise _Denied(413, "the announcement is too large.", connection="close")
        async with self.gate.announcements.turn(account):
            body = bytearray()
            async for piece in self._body(request, length):
                body += piece
            facts, status = await to_thread.run_sync(
                self._begin, account, body, limiter=self._parsing
            )
        return JSONResponse(facts, status)

    async def item(self, request: Request) -> Response:
        account = await self._account(request)
        return JSONResponse(await self._look(self.desk.item, account, request.path_params["item"]))

    async def put(self, request: Request) -> Response:
        account = await self._account(request)
        length = _length(request)
        item, sha256 = request.path_params["item"], request.path_params["sha256"]
        if not SHA256.fullmatch(sha256):
            raise _Denied(404, "the address ends with no sha256 in lower-case hex digits.")
        wanted = await self._look(self.desk.wanted, account, item, sha256)
        if wanted is None:
            return JSONResponse({"stored": True, "problems": []})
        _expect(request, "application/octet-stream")
        if length != wanted.file.bytes:
            announced = f"{wanted.file.bytes:,} bytes were announced, {length:,} are sent."
            raise _Denied(422, announced, connection="close")
        try:
            async with self.gate.uploads.turn(account):
                await self._receive(request, wanted)
        except TooLate:  # it may have come by another request, and all be finished
            if await self._look(self.desk.wanted, account, item, sha256) is not None:
                raise
        problems = await self._look(wanted.problems)
        return JSONResponse({"stored": True, "problems": public(problems)}, 201)

    async def finish(self, request: Request) -> Response:
        account = await self._account(request)
        item = await self._look(self.desk.finish, account, request.path_params["item"])
        return JSONResponse(await self._look(self.desk.facts, item), 202)

    async def withdraw(self, request: Request) -> Response:
        account = await self._account(request)
        item = await self._look(self.desk.withdraw, account, request.path_params["item"])
        return JSONResponse(await self._look(self.desk.facts, item))

    def _begin(self, account: str, body: bytearray) -> tuple[dict[str, Any], int]:
        # No more values than files need: JSON takes many times its size in memory.
        if sum(map(body.count, (b",", b"[", b"{"))) > 3 * self.limits.announced_files:
            raise TooLarge(f"at most {self.limits.announced_files:,} files are taken.")
        try:
            facts = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise announcements.Malformed("the body is no JSON.") from error
        dataset, announced = announcements.parsed(facts)
        item, new = self.desk.begin(account, dataset, announced)
        return self.desk.facts(item), 201 if new else 200

    async def _receive(self, request: Request, wanted: Wanted) -> None:
        """Takes the body of the request as the file, and puts it in its place."""
        incoming = await self._write(Incoming, wanted.upload, wanted.file)
        try:
            block = bytearray()
            async for piece in self._body(request, wanted.file.bytes):
                block += piece
                if len(block) >= BLOCK_BYTES:
                    await self._write(incoming.write, block)
                    block = bytearray()
            await self._write(incoming.write, block)
            await self._write(incoming.place, wanted.places)
        finally:
            with anyio.CancelScope(shield=True):
                await self._write(incoming.discard)

    async def _body(self, request: Request, most: int) -> AsyncIterator[bytes]:
        """The pieces of the body, as long as they come fast enough."""
        over = anyio.current_time() + self.limits.stall_seconds + most / self.limits.slowest_bytes
        pieces = aiter(request.stream())
        left = most
        while True:
            patience = min(self.limits.stall_seconds, over - anyio.current_time())
            try:
                with anyio.fail_after(max(0.0, patience)):
                    piece = await anext(pieces, b"")
            except TimeoutError as error:
                raise _Denied(408, "the body came too slowly.", connection="close") from error
            left -= len(piece)
            if left < 0:
                raise _Denied(400, "more came than Content-Length says.", connection="close")
            if not piece:
                return
            yield piece

    async def _account(self, request: Request) -> str:
        """The account whose token the request carries."""
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        account = None
        if kind.lower() == "bearer" and token.startswith(tokens.PREFIX):
            account = await self._look(tokens.account_of, self.desk.inbox, token.strip())
        if account is None:
            self.gate.count("wrong_tokens", _client(request))
            raise _Denied(
                401,
                "no token, or one that is unknown or expired: send Authorization: Bearer TOKEN.",
                www_authenticate="Bearer",
            )
        request.scope["account"] = account  # for the record
        self.gate.count("requests", account)
        return account

    async def _look(self, function: Callable[[*_Args], _T], *args: *_Args) -> _T:
        return await to_thread.run_sync(function, *args, limiter=self._looking)

    async def _write(self, function: Callable[[*_Args], _T], *args: *_Args) -> _T:
        return await to_thread.run_sync(function, *args, limiter=self._writing)


def _client(request: Request) -> str:
    return network(request.client.host if request.client else "")


def _expect(request: Request, kind: str) -> None:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != kind:
        raise _Denied(415, f"expected Content-Type: {kind}.")


def _length(request: Request) -> int:
    """The length of the body, which the client must say first."""
    text = request.headers.get("content-length", "")
    if not (text.isascii() and text.isdigit()) or "transfer-encoding" in request.headers:
        raise _Denied(411, "expected Content-Length, and no Transfer-Encoding.", connection="close")
    return int(text[:20])


class _Recorded:
    """Adds headers to every answer, makes one of every exception, and notes both in a line."""

    def __init__(self, inner: ASGIApp):
        self.inner = inner

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.inner(scope, receive, send)
            return
        began = time.monotonic()
        status = received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            return message

        async def headed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                more = [(name.encode(), value.encode()) for name, value in _HEADERS.items()]
                message["headers"] = [*message.get("headers", []), *more]
            await send(message)

        try:
            await self.inner(scope, counted, headed)
        except Exception:
            _LOG.exception("unforeseen")
            if not status:
                answer = _answer(500, "the server failed; tell the host when that was.")
                await answer(scope, receive, headed)
        finally:
            facts = {
                "time": round(time.time(), 3),
                "client": (scope.get("client") or ("",))[0],
                "account": scope.get("account", ""),
                "method": scope["method"],
                "path": scope["path"][:200],
                "status": status,
                "received": received,
                "seconds": round(time.monotonic() - began, 4),
            }
            ACCESS.info("%s", json.dumps(facts))


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    headers = dict(error.headers or {})
    sentences = {404: "there is nothing at this address.", 405: "not with this method."}
    plain = type(error) is HTTPException
    sentence = sentences.get(error.status_code, error.detail) if plain else error.detail
    return _answer(error.status_code, sentence, headers)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HarnessError | OSError | sqlite3.OperationalError)
    refusal = Refusal.of(error)
    return _answer(refusal.status, refusal.sentence, refusal.headers, **refusal.facts)


async def _left(request: Request, error: Exception) -> Response:
    return _answer(400, "the connection ended before the body did.")  # read by nobody


def _answer(
    status: int, sentence: str, headers: Mapping[str, str] | None = None, **facts: Any
) -> Response:
    return JSONResponse({"error": sentence, **facts}, status, headers)
