"""`spikeformer serve`, as far as it says something before it listens."""

from __future__ import annotations

import pytest

pytest.importorskip("aiohttp", reason="the extra serve is not installed")

from aiohttp import web

from spikeformer.cli.serve import serve
from spikeformer.runs import TextGenerator


@pytest.mark.parametrize(
    ("host", "warns"),
    [("127.0.0.1", False), ("::1", False), ("localhost", False), ("0.0.0.0", True), ("a.b", True)],
)
def test_it_listens_where_it_is_told_and_says_who_can_reach_it(monkeypatch, capsys, host, warns):
    asked = {}
    monkeypatch.setattr(web, "run_app", lambda app, **options: asked.update(options, app=app))
    assert serve(["digits", "--port", "8123", "--host", host, "--max-mib", "0.5"]) == 0
    assert (asked["host"], asked["port"]) == (host, 8123)
    assert asked["app"]._client_max_size == 2**19
    printed = capsys.readouterr().out
    assert f"http://{host}:8123" in printed
    assert ("no authentication" in printed) == warns


def test_it_is_on_this_machine_alone_by_default(monkeypatch):
    asked = {}
    monkeypatch.setattr(web, "run_app", lambda app, **options: asked.update(options))
    serve(["digits"])
    assert asked["host"] == "127.0.0.1"


def test_a_language_model_has_a_route_of_its_own(monkeypatch, capsys):
    generator, apps = TextGenerator.__new__(TextGenerator), []
    generator.name = "tales"
    monkeypatch.setattr("spikeformer.cli.serve.load_predictor", lambda name, **_: generator)
    monkeypatch.setattr(web, "run_app", lambda app, **options: apps.append(app))
    serve(["tales"])
    (route,) = [r.resource.canonical for r in apps[0].router.routes() if r.method == "POST"]
    assert f"POST {route}," in capsys.readouterr().out
