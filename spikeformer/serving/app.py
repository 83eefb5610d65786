"""The engine of `spikeformer.concurrency` behind HTTP."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

from torch import Tensor

from spikeformer.concurrency import AsyncSpikingInference, ConcurrencyConfig
from spikeformer.concurrency.batching import samples_of
from spikeformer.runs import TextGenerator
from spikeformer.serving.predictor import Predictor
from spikeformer.serving.reading import BadRequestError, RequestReader
from spikeformer.serving.server import Server, busy, web
from spikeformer.serving.texts import make_text_app


def make_app(
    predictor: Predictor | TextGenerator,
    config: ConcurrencyConfig | None = None,
    *,
    max_wait: float = 0.002,
    max_pending: int = 1024,
    max_bytes: int = 8 * 2**20,
) -> web.Application:
    """Return an application with the routes `/`, `/predict`, `/health` and `/metrics`.

    A language model has `/generate` instead of `/predict` (`make_text_app`).

    - `POST /predict` takes what `RequestReader` reads. `?confidence=0.9` reads the output early,
      `?energy=true` estimates what the request costs.
    - `GET /` says what the network is and takes, `GET /health` whether it is up, `GET
      /metrics` what it has done, for Prometheus.

    A response without a prediction is `{"error": "..."}`: 400 for a request that does not fit, 413
    for one that is too large, 503 while too many wait or all workers hang, and 500 if the network
    fails.

    Args:
        predictor: The network.
        config: Of the engine, which a language model does without; a batch's size is also the most
            samples of a request.
        max_wait: Seconds that a request may wait for others to share its batch.
        max_pending: Requests that wait before further ones are turned away.
        max_bytes: Largest body.

    Raises:
        ConcurrencyError: The workers cannot be had.
    """
    if isinstance(predictor, TextGenerator):
        return make_text_app(predictor, max_pending=max_pending, max_bytes=max_bytes)
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


class _Server(Server):
    counted = "/predict"
    engine: AsyncSpikingInference

    def __init__(self, predictor: Predictor, reader: RequestReader, max_pending: int) -> None:
        super().__init__()
        self.predictor, self.reader, self.max_pending = predictor, reader, max_pending

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
        """Say whether the workers respond."""
        alive = self.engine.is_alive
        state = {
            "status": "ok" if alive else "all workers hang",
            "workers": self.engine.num_workers,
            "pending": self.engine.num_pending,
        }
        return web.json_response(state, status=200 if alive else 503)

    def gauges(self) -> dict[str, float]:
        """Return the state of the engine."""
        return {
            "pending_requests": float(self.engine.num_pending),
            "batches": float(self.engine.num_batches),
            "workers": float(self.engine.num_workers),
        }

    async def predict(self, request: web.Request) -> web.Response:
        """Respond to a request for predictions."""
        start = time.perf_counter()
        confidence, wants_energy = _confidence(request), _flag(request, "energy")
        body = await request.read()
        # Decoding takes a while; others are served meanwhile.
        inputs = await asyncio.to_thread(self.reader.read, request.content_type, body)
        if self.engine.num_pending >= self.max_pending:
            return busy()
        outputs = await self._outputs(inputs)
        self.metrics.samples += len(outputs)
        response: dict[str, Any] = {
            "model": self.predictor.name,
            "predictions": self.predictor.predictions(outputs, confidence),
        }
        if wants_energy:
            response["energy"] = await asyncio.to_thread(self.predictor.energy, inputs)
        response["milliseconds"] = round(1e3 * (time.perf_counter() - start), 3)
        return web.json_response(response)

    async def _outputs(self, inputs: Any) -> Tensor:
        samples_of(inputs)
        name = await self.engine.submit_inference(inputs)
        try:
            return await self.engine.get_result(name)
        except (ValueError, TypeError, IndexError) as error:
            # What a network says of inputs of a wrong shape or unknown tokens.
            reason = (str(error) or type(error).__name__).splitlines()[0]
            raise BadRequestError(f"The network does not take this: {reason}") from error


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
