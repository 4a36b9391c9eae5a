"""Output of any length in bounded memory: the head, the tail, and how much lay between them."""

from __future__ import annotations


class HeadTail:
    """Keeps at most `limit` bytes of what is added: the first half and the last."""

    def __init__(self, limit: int) -> None:
        self._half = max(limit // 2, 1)
        self._head = bytearray()
        self._tail = bytearray()
        self._total = 0

    def add(self, data: bytes) -> None:
        self._total += len(data)
        room = self._half - len(self._head)
        if room > 0:
            self._head += data[:room]
            data = data[room:]
        self._tail += data
        if len(self._tail) > 4 * self._half + 65536:
            del self._tail[: -self._half]

    @property
    def output(self) -> bytes:
        """Head and tail together; whole while nothing was left out."""
        return bytes(self._head + self._tail[-self._half :])

    @property
    def omitted(self) -> int:
        """How many bytes lie between head and tail."""
        return self._total - len(self._head) - min(len(self._tail), self._half)
