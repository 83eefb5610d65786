"""`spikeformer serve`: a trained network behind HTTP."""

from __future__ import annotations

import argparse
import ipaddress
from collections.abc import Sequence

from aiohttp import web

from spikeformer.cli.parser import command_parser
from spikeformer.concurrency import ConcurrencyConfig
from spikeformer.i18n import t
from spikeformer.profiling import TECHNOLOGIES
from spikeformer.runs import TextGenerator
from spikeformer.serving import load_predictor, make_app

_NOTES = """\
  spikeformer serve digits
  curl --data-binary @seven.png --header "Content-Type: image/png" localhost:8000/predict

There is no authentication and no encryption: other machines reach it with --host alone, which
belongs behind a proxy that has both.
"""


def serve(arguments: Sequence[str]) -> int:
    """Serve predictions until it is interrupted; return 0.

    Args:
        arguments: What follows `serve` on the command line.

    Raises:
        ConfigurationError: There is no such run or network.
    """
    options = make_parser().parse_args(arguments)
    config = ConcurrencyConfig(max_workers=options.workers, batch_size_per_worker=options.batch)
    predictor = load_predictor(options.model, technology=options.hardware)
    app = make_app(
        predictor,
        config,
        max_wait=options.max_wait_ms / 1e3,
        max_pending=options.max_pending,
        max_bytes=round(options.max_mib * 2**20),
    )
    address = f"http://{options.host}:{options.port}"
    route = "/generate" if isinstance(predictor, TextGenerator) else "/predict"
    print(t("cli.serving", name=predictor.name, address=address, route=route), flush=True)
    if not _is_loopback(options.host):
        print(t("cli.serves_others", host=options.host), flush=True)
    web.run_app(
        app,
        host=options.host,
        port=options.port,
        print=lambda *_: None,
        access_log=None,
        handler_cancellation=True,
    )
    return 0


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of `spikeformer serve`."""
    parser = command_parser("serve", _NOTES)
    add = parser.add_argument
    add("model", metavar="RUN_OR_MODEL", help="a run, a sweep, a saved network, or a bundled one")
    add("--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
    add("--port", type=int, default=8000, help="port to listen on (8000)")
    add("--batch", type=int, default=32, help="most samples of a batch and of a request (32)")
    add("--workers", type=int, default=4, help="most batches at a time (4)")
    add("--max-wait-ms", type=float, default=2.0, help="wait for others to share a batch (2)")
    add("--max-pending", type=int, default=1024, help="waiting requests, more get 503 (1024)")
    add("--max-mib", type=float, default=8.0, help="largest body in MiB (8)")
    add("--hardware", default="simulation", choices=list(TECHNOLOGIES), help="for ?energy=true")
    return parser


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
