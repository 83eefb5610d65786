"""A language model behind HTTP: a prompt in, its continuation out, piece by piece."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from typing import Any

import msgspec

from spikeformer.error_handling import SpikeformerError
from spikeformer.runs import TextGenerator
from spikeformer.serving.reading import BadRequestError
from spikeformer.serving.server import Server, busy, logger, web


class Prompt(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a request; see `TextGenerator.generate`."""

    prompt: str
    tokens: int = 50
    temperature: float = 0.0
    top_k: int | None = None
    seed: int = 0


def make_text_app(
    generator: TextGenerator, *, max_pending: int = 1024, max_bytes: int = 8 * 2**20
) -> web.Application:
    """Return an application with the routes `/`, `/generate`, `/health` and `/metrics`.

    `POST /generate` takes `{"prompt": "...", "tokens": 50, "temperature": 0, "top_k": null, "seed":
    0}`, all but the prompt optional, and streams the continuation as plain text. Texts are
    generated one after the other; a client that leaves ends its own. What goes wrong before the
    first piece is `{"error": "..."}`, as `make_app` says; afterwards the connection is cut.

    Args:
        generator: The language model.
        max_pending: Requests that wait before further ones are turned away.
        max_bytes: Largest body.
    """
    server = _TextServer(generator, max_pending)
    app = web.Application(client_max_size=max_bytes, middlewares=[server.guard])
    app.add_routes(
        [
            web.get("/", server.about),
            web.get("/health", server.health),
            web.get("/metrics", server.report),
            web.post("/generate", server.generate),
        ]
    )
    return app


class _Gone(Exception):  # noqa: N818 - no error: the reader has left
    """Ends a text that nobody reads any more."""


class _TextServer(Server):
    counted = "/generate"

    def __init__(self, generator: TextGenerator, max_pending: int) -> None:
        super().__init__()
        self.generator, self.max_pending = generator, max_pending
        self._turn, self._asked = asyncio.Lock(), 0

    def gauges(self) -> dict[str, float]:
        """Return how many requests wait for their turn."""
        return {"pending_requests": float(max(0, self._asked - 1))}

    async def about(self, request: web.Request) -> web.Response:
        """Say what the model is and takes."""
        about = {
            "model": self.generator.name,
            "takes": ["application/json"],
            "options": [field.name for field in msgspec.structs.fields(Prompt)],
            "routes": ["POST /generate", "GET /health", "GET /metrics"],
        }
        return web.json_response(about)

    async def health(self, request: web.Request) -> web.Response:
        """Say that the server runs, and how many wait."""
        return web.json_response({"status": "ok", "pending": max(0, self._asked - 1)})

    async def generate(self, request: web.Request) -> web.StreamResponse:
        """Stream the continuation of a prompt."""
        try:
            asked = msgspec.json.decode(await request.read(), type=Prompt)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            message = 'Expected JSON such as {"prompt": "Once upon a time", "tokens": 50}'
            raise BadRequestError(f"{message}: {error}.") from error
        if self._asked > self.max_pending:
            return busy()
        self._asked += 1
        try:
            async with self._turn:
                return await self._stream(request, msgspec.structs.asdict(asked))
        finally:
            self._asked -= 1

    async def _stream(self, request: web.Request, options: dict[str, Any]) -> web.StreamResponse:
        loop, left = asyncio.get_running_loop(), threading.Event()
        pieces: asyncio.Queue[str | None] = asyncio.Queue()

        def put(text: str) -> None:
            if left.is_set():
                raise _Gone
            loop.call_soon_threadsafe(pieces.put_nowait, text)

        def work() -> None:
            try:
                self.generator.generate(put=put, **options)
            finally:
                loop.call_soon_threadsafe(pieces.put_nowait, None)

        task = asyncio.create_task(asyncio.to_thread(work))
        try:
            piece = await pieces.get()
            if piece is None:
                await _finished(task)
            response = web.StreamResponse(headers={"Content-Type": "text/plain; charset=utf-8"})
            await response.prepare(request)
            try:
                while piece is not None:
                    await response.write(piece.encode())
                    piece = await pieces.get()
                await task
            except ConnectionResetError:  # the reader has left
                pass
            except Exception:
                logger.exception("A text broke off")
                if request.transport is not None:  # nobody is to take it for the whole text
                    request.transport.abort()
            return response
        finally:
            left.set()
            with suppress(Exception):
                await task


async def _finished(task: asyncio.Task[None]) -> None:
    """Wait for a text without a piece.

    Raises:
        BadRequestError: The model refuses the prompt or an option.
    """
    try:
        await task
    except SpikeformerError as error:
        raise BadRequestError(str(error)) from error
