"""A registry with one image in it, on a loopback socket (OCI Distribution, the part that a pull needs)."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
import threading
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


class Registry:
    """Serves an image of one layer with one file; `content` is what it holds now, `asked` how often it was asked."""

    def __init__(self) -> None:
        self.content = uuid.uuid4().bytes
        self.asked = 0
        self._blobs: dict[str, bytes] = {}
        registry = self

        class Answers(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                registry.asked += 1
                kind, body = registry._answer(self.path)
                self.send_response(200 if kind else 404)
                self.send_header("Content-Type", kind or "text/plain")
                self.send_header("Docker-Content-Digest", _digest(body))
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(body)

            do_HEAD = do_GET

            def log_message(self, *_: object) -> None:
                """Nothing is printed."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _answer(self, path: str) -> tuple[str, bytes]:
        if path.rstrip("/") == "/v2":
            return "application/json", b"{}"
        if "/blobs/" in path:
            return "application/octet-stream", self._blobs[path.rpartition("/")[2]]
        return (MANIFEST, self._manifest()) if "/manifests/" in path else ("", b"")

    def _manifest(self) -> bytes:
        tar = io.BytesIO()
        with tarfile.open(fileobj=tar, mode="w") as archive:
            member = tarfile.TarInfo("file")
            member.size = len(self.content)
            archive.addfile(member, io.BytesIO(self.content))
        layer = self._blob(gzip.compress(tar.getvalue(), mtime=0), "application/vnd.docker.image.rootfs.diff.tar.gzip")
        image = {"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers"}}
        image["rootfs"]["diff_ids"] = [_digest(tar.getvalue())]  # type: ignore[index]
        config = self._blob(json.dumps(image).encode(), "application/vnd.docker.container.image.v1+json")
        return json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer]}).encode()

    def _blob(self, content: bytes, kind: str) -> dict[str, object]:
        self._blobs[_digest(content)] = content
        return {"mediaType": kind, "size": len(content), "digest": _digest(content)}


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
