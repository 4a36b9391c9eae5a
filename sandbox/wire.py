"""HTTP over the engine's Unix socket: what is opened is closed, also when the engine does not take the call."""

from __future__ import annotations

import socket
from typing import Any

import requests.adapters
import urllib3.connection
import urllib3.connectionpool


class SocketAdapter(requests.adapters.HTTPAdapter):
    """Sends every request to the socket at `path`. The SDK's own leaves a socket open that cannot connect."""

    def __init__(self, path: str, timeout: float) -> None:
        self._pool = _Pool(path, timeout)
        super().__init__()

    def get_connection_with_tls_context(self, *_: Any, **__: Any) -> _Pool:
        return self._pool

    def request_url(self, request: Any, _proxies: Any) -> str:
        """The path alone: proxies mean nothing to a socket."""
        return str(request.path_url)

    def close(self) -> None:
        super().close()
        self._pool.close()


class _Pool(urllib3.connectionpool.HTTPConnectionPool):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout, maxsize=10)
        self._path = path
        self._seconds = timeout

    def _new_conn(self) -> _Connection:
        return _Connection(self._path, self._seconds)


class _Connection(urllib3.connection.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        found = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            found.settimeout(self.timeout)
            found.connect(self._path)
        except BaseException:
            found.close()
            raise
        self.sock = found
