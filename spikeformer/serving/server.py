"""What every server here does: one line of JSON for what goes wrong, and counts."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import ClassVar

from spikeformer.concurrency import ConcurrencyError
from spikeformer.error_handling import MissingDependencyError
from spikeformer.serving.metrics import ServingMetrics
from spikeformer.serving.reading import BadRequestError

try:
    from aiohttp import web as web  # the other servers take it from here
except ModuleNotFoundError as error:
    raise MissingDependencyError(
        "Expected the package 'aiohttp' to be installed for serving. Install it with: "
        'pip install "spikeformer[serve]"'
    ) from error

logger = logging.getLogger(__name__)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Server:
    """The routes that every server has, and what guards them.

    Attributes:
        counted: The route whose requests are counted.
        metrics: Their counts.
    """

    counted: ClassVar[str]

    def __init__(self) -> None:
        self.metrics = ServingMetrics()

    @web.middleware
    async def guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Turn whatever goes wrong into one line of JSON, and count requests."""
        start = time.perf_counter()
        try:
            response = await handler(request)
        except BadRequestError as error:
            response = failure(400, str(error))
        except web.HTTPRequestEntityTooLarge:
            limit = request.app._client_max_size / 2**20
            response = failure(413, f"Expected a body of at most {limit:g} MiB.")
        except web.HTTPException as error:
            response = failure(error.status, f"{request.method} {request.path}: {error.reason}.")
        except ConcurrencyError as error:
            response = failure(503, str(error))
        except Exception as error:
            logger.exception("A request failed")
            response = failure(500, f"The network failed with {type(error).__name__}.")
        if request.path == self.counted:
            self.metrics.add(response.status, time.perf_counter() - start)
        return response

    def gauges(self) -> Mapping[str, float]:
        """Return the present values that `/metrics` has besides the counts."""
        raise NotImplementedError

    async def report(self, request: web.Request) -> web.Response:
        """Return what was done so far."""
        return web.Response(text=self.metrics.text(self.gauges()), content_type="text/plain")


def failure(status: int, message: str) -> web.Response:
    """Return a response that says what is wrong."""
    return web.json_response({"error": message}, status=status)


def busy() -> web.Response:
    """Return the response to one request too many."""
    response = failure(503, "Too many requests wait. Try again in a moment.")
    response.headers["Retry-After"] = "1"
    return response
