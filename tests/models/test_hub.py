"""Networks in folders and on a hub: a local server that speaks the hub's protocol."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import huggingface_hub
import pytest
import torch

from spikeformer.config import BUNDLED
from spikeformer.error_handling import ConfigurationError
from spikeformer.models import ClassificationHead, SpikingNetwork, SpikingViT
from spikeformer.models.hub import located

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def small():
    backbone = SpikingViT(1, 8, 16, 2, 1, stem_strides=[1, 2], timesteps=2)
    return SpikingNetwork(backbone, ClassificationHead(16, 10)).eval()


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A hub with one repository, whose files are a dict that tests read."""
    files = {}

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args):
            pass

        def reply(self, content, status=200, **headers):
            body = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def do_HEAD(self):
            self.do_GET()

        def do_GET(self):
            path = self.path.partition("?")[0]
            if path.startswith("/api/models/lab/net/tree/"):
                tree = [
                    {"type": "file", "path": name, "size": len(content), "oid": "0" * 40}
                    for name, content in files.items()
                ]
                self.reply(tree)
            elif path.startswith("/api/models/lab/net"):
                siblings = [{"rfilename": name} for name in files]
                self.reply({"id": "lab/net", "sha": COMMIT, "siblings": siblings})
            elif path.startswith("/lab/net/resolve/") and (name := path.split("/")[5]) in files:
                tag = hashlib.sha256(files[name]).hexdigest()
                self.reply(files[name], X_Repo_Commit=COMMIT, ETag=f'"{tag}"')
            else:
                self.reply({"error": "Repository not found"}, 404, X_Error_Code="RepoNotFound")

        def do_POST(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            address = f"http://127.0.0.1:{self.server.server_port}/lab/net"
            if self.path.startswith("/api/repos/create"):
                self.reply({"url": address, "name": "lab/net"})
            elif "/preupload/" in self.path:
                asked = json.loads(body)["files"]
                modes = [
                    {"path": f["path"], "uploadMode": "regular", "shouldIgnore": False}
                    for f in asked
                ]
                self.reply({"files": modes})
            elif "/commit/" in self.path:
                for line in map(json.loads, body.splitlines()):
                    if line["key"] == "file":
                        files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
                url = f"{address}/commit/{COMMIT}"
                self.reply({"commitUrl": url, "commitOid": COMMIT, "hookOutput": ""})
            else:
                self.reply({"valid": True})

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    endpoint = f"http://127.0.0.1:{server.server_port}"

    class Api(huggingface_hub.HfApi):
        def __init__(self, token=None):
            super().__init__(endpoint, token="hf_test")

    def download(name, **options):
        return Api().snapshot_download(name, cache_dir=tmp_path / "cache", **options)

    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    yield files
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_network_goes_to_the_hub_and_back(hub):
    net, images = small(), torch.rand(3, 1, 8, 8)
    assert net.push_to_hub("lab/net", card="# Mine").endswith(COMMIT)
    assert {"config.json", "model.safetensors", "README.md"} <= hub.keys()
    assert hub["README.md"] == b"# Mine"
    again = SpikingNetwork.from_pretrained("lab/net")
    assert torch.equal(again(images), net(images))
    assert not again.training


def test_a_repository_that_is_not_there(hub):
    with pytest.raises(ConfigurationError, match="'lab/none' could not be downloaded"):
        SpikingNetwork.from_pretrained("lab/none")


def test_names_on_this_machine(tmp_path):
    assert located(tmp_path) == tmp_path
    assert located("digits") == BUNDLED / "digits"
    assert located("owner/name") is None
    for name in ("no-such", "a/b/c", "/none/here", "../up"):
        with pytest.raises(ConfigurationError, match="none of them"):
            located(name)


def test_the_network_that_comes_with_the_package_does_what_its_card_says():
    net = SpikingNetwork.from_pretrained("digits")
    data = net.trained_on.data()
    data.setup()
    right = total = 0
    with torch.no_grad():
        for images, labels in data.test_dataloader():
            right += int((net(images).mean(1).argmax(1) == labels).sum())
            total += len(labels)
    assert right / total == pytest.approx(net.run.results["accuracy"], abs=1e-6)
    assert net.trained_on.preparation.class_names == [str(i) for i in range(10)]
