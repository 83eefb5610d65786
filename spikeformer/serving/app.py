"""The engine of `spikeformer.concurrency` behind HTTP."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from torch import Tensor

from spikeformer.concurrency import AsyncSpikingInference, ConcurrencyConfig, ConcurrencyError
from spikeformer.concurrency.batching import samples_of
from spikeformer.error_handling import MissingDependencyError
from spikeformer.serving.metrics import ServingMetrics
from spikeformer.serving.predictor import Predictor
from spikeformer.serving.reading import BadRequestError, RequestReader

try:
    from aiohttp import web
except ModuleNotFoundError as error:
    raise MissingDependencyError(
        "Expected the package 'aiohttp' to be installed for serving. Install it with: "
        'python -m pip install --editable ".[serve]"'
    ) from error

_logger = logging.getLogger(__name__)
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def make_app(
    predictor: Predictor,
    config: ConcurrencyConfig | None = None,
    *,
    max_wait: float = 0.002,
    max_pending: int = 1024,
    max_bytes: int = 8 * 2**20,
) -> web.Application:
    """Return an application with the routes `/`, `/predict`, `/health` and `/metrics`.

    - `POST /predict` takes what `RequestReader` reads. `?confidence=0.9` reads the output early,
      `?energy=true` estimates what the request costs.
    - `GET /` says what the network is and takes, `GET /health` whether it can answer, `GET
      /metrics` what it has done, for Prometheus.

    An answer that is no prediction is `{"error": "..."}`: 400 for a request that does not fit, 413
    for one that is too large, 503 while too many wait or all workers hang, and 500 if the network
    fails.

    Args:
        predictor: The network.
        config: Of the engine; a batch's size is also the most samples of a request.
        max_wait: Seconds that a request may wait for others to share its batch.
        max_pending: Requests that wait before further ones are turned away.
        max_bytes: Largest body.

    Raises:
        ConcurrencyError: The workers cannot be had.
    """
    config = config or ConcurrencyConfig()
    reader = RequestReader(
        predictor.data, predictor.shape, max_samples=config.batch_size_per_worker
    )
    server = _Server(predictor, reader, max_pending)

    async def engine(app: web.Application) -> AsyncIterator[None]:
        server.engine = AsyncSpikingInference(
            predictor.model, config, max_wait=max_wait, max_pending=max_pending
        )
        yield
        await server.engine.close(timeout=10.0)

    app = web.Application(client_max_size=max_bytes, middlewares=[server.guard])
    app.cleanup_ctx.append(engine)
    app.add_routes(
        [
            web.get("/", server.about),
            web.get("/health", server.health),
            web.get("/metrics", server.report),
            web.post("/predict", server.predict),
        ]
    )
    return app


class _Server:
    engine: AsyncSpikingInference

    def __init__(self, predictor: Predictor, reader: RequestReader, max_pending: int) -> None:
        self.predictor, self.reader, self.max_pending = predictor, reader, max_pending
        self.metrics = ServingMetrics()

    @web.middleware
    async def guard(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        """Turn whatever goes wrong into one line of JSON, and count predictions."""
        start = time.perf_counter()
        try:
            response = await handler(request)
        except BadRequestError as error:
            response = _error(400, str(error))
        except web.HTTPRequestEntityTooLarge:
            limit = request.app._client_max_size / 2**20
            response = _error(413, f"Expected a body of at most {limit:g} MiB.")
        except web.HTTPException as error:
            response = _error(error.status, f"{request.method} {request.path}: {error.reason}.")
        except ConcurrencyError as error:
            response = _error(503, str(error))
        except Exception as error:
            _logger.exception("A request failed")
            response = _error(500, f"The network failed with {type(error).__name__}.")
        if request.path == "/predict":
            seconds = time.perf_counter() - start
            self.metrics.add(response.status, seconds)
        return response

    async def about(self, request: web.Request) -> web.Response:
        """Say what the network is and takes."""
        about = {
            "model": self.predictor.name,
            "classes": list(self.predictor.class_names),
            "sample_shape": self.reader.shape,
            "takes": self.reader.takes,
            "max_samples": self.reader.max_samples,
            "routes": ["POST /predict", "GET /health", "GET /metrics"],
        }
        return web.json_response(about)

    async def health(self, request: web.Request) -> web.Response:
        """Say whether requests are answered."""
        alive = self.engine.is_alive
        state = {
            "status": "ok" if alive else "all workers hang",
            "workers": self.engine.num_workers,
            "pending": self.engine.num_pending,
        }
        return web.json_response(state, status=200 if alive else 503)

    async def report(self, request: web.Request) -> web.Response:
        """Return what was done so far."""
        gauges = {
            "pending_requests": float(self.engine.num_pending),
            "batches": float(self.engine.num_batches),
            "workers": float(self.engine.num_workers),
        }
        return web.Response(text=self.metrics.text(gauges), content_type="text/plain")

    async def predict(self, request: web.Request) -> web.Response:
        """Answer a request for predictions."""
        start = time.perf_counter()
        confidence, wants_energy = _confidence(request), _flag(request, "energy")
        body = await request.read()
        # Decoding takes a while; others are answered meanwhile.
        inputs = await asyncio.to_thread(self.reader.read, request.content_type, body)
        if self.engine.num_pending >= self.max_pending:
            response = _error(503, "Too many requests wait. Try again in a moment.")
            response.headers["Retry-After"] = "1"
            return response
        outputs = await self._outputs(inputs)
        self.metrics.samples += len(outputs)
        answer: dict[str, Any] = {
            "model": self.predictor.name,
            "predictions": self.predictor.predictions(outputs, confidence),
        }
        if wants_energy:
            answer["energy"] = await asyncio.to_thread(self.predictor.energy, inputs)
        answer["milliseconds"] = round(1e3 * (time.perf_counter() - start), 3)
        return web.json_response(answer)

    async def _outputs(self, inputs: Any) -> Tensor:
        samples_of(inputs)
        name = await self.engine.submit_inference(inputs)
        try:
            return await self.engine.get_result(name)
        except (ValueError, TypeError, IndexError) as error:
            # What a network says of inputs of a wrong shape or unknown tokens.
            reason = (str(error) or type(error).__name__).splitlines()[0]
            raise BadRequestError(f"The network does not take this: {reason}") from error


def _error(status: int, message: str) -> web.Response:
    return web.json_response({"error": message}, status=status)


def _flag(request: web.Request, name: str) -> bool:
    text = request.query.get(name, "false").lower()
    if text not in ("true", "false", "1", "0"):
        raise BadRequestError(f"Expected ?{name}= to be true or false, got {text!r}.")
    return text in ("true", "1")


def _confidence(request: web.Request) -> float | None:
    text = request.query.get("confidence")
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 <= value <= 1.0:
        raise BadRequestError(f"Expected ?confidence= to be from 0 to 1, got {text!r}.")
    return value
