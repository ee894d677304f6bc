"""A small proxy in front of an S3 server that loses, delays and refuses what a test tells it to."""

import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

import httpx

from synth_platform_tests.serving import QuietHandler, serving

Kind = Literal["403", "500", "503", "reset", "black hole", "lost answer", "stall", "half body", "slow line"]
_ERROR = "<?xml version='1.0'?><Error><Code>{}</Code><Message>said by the proxy</Message></Error>"
_ERRORS = {
    kind: _ERROR.format(code).encode()
    for kind, code in {"403": "AccessDenied", "500": "InternalError", "503": "SlowDown"}.items()
}
_RESET = struct.pack("ii", 1, 0)
"""To linger for no time: the connection is reset when it is closed."""
_HOP_BY_HOP = {"connection", "transfer-encoding", "content-length", "content-encoding", "host", "accept-encoding"}


@dataclass
class S3Fault:
    """What goes wrong with some requests of a method.

    Args:
        method: such as ``PUT``.
        kind: a status; ``reset``: the connection is; ``black hole``: nobody reads what is sent, or answers; ``lost
            answer``: the request takes effect, the connection ends without a word; ``stall``: it takes no effect and
            nobody answers; ``half body``: the answer breaks off in the middle; ``slow line``: what is sent takes three
            seconds.
        times: how many requests it hits at most.
        every: it hits one of so many.
    """

    method: str
    kind: Kind
    times: int
    every: int = 1
    seen: int = 0
    """How many came since the last that it hit."""

    def hits(self, method: str) -> bool:
        """Whether it hits the next request, which is of this method."""
        if method != self.method or self.times <= 0:
            return False
        self.seen = (self.seen + 1) % self.every
        self.times -= self.seen == 0
        return self.seen == 0


@dataclass
class FaultProxy:
    """A running proxy."""

    upstream: str
    url: str = ""
    faults: list[S3Fault] = field(default_factory=list)
    seen: list[tuple[str, str]] = field(default_factory=list)
    """Method and path of each request."""
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _over: threading.Event = field(default_factory=threading.Event)

    def take(self, method: str, path: str) -> Kind | None:
        """Note a request; what is to go wrong with it."""
        with self._lock:
            self.seen.append((method, path))
            return next((fault.kind for fault in self.faults if fault.hits(method)), None)

    def stall(self) -> None:
        """Say nothing until the test is over."""
        self._over.wait(60)

    def stop_stalling(self) -> None:
        """Let stalled requests end."""
        self._over.set()


@contextmanager
def fault_proxy(upstream: str, *faults: S3Fault) -> Iterator[FaultProxy]:
    """Run a proxy while the block lasts."""
    proxy = FaultProxy(upstream, faults=list(faults))
    with serving(_handler(proxy)) as address:
        proxy.url = f"http://{address}"
        try:
            yield proxy
        finally:
            proxy.stop_stalling()


def _handler(proxy: FaultProxy) -> type[QuietHandler]:
    class Handler(QuietHandler):
        def _serve(self) -> None:
            kind = proxy.take(self.command, self.path)
            if kind == "reset":
                return self._reset()
            if kind == "black hole":
                return self._stall()
            body = self._read_body(15 if kind == "slow line" else 1)
            if kind == "stall":
                return self._stall()
            if error := _ERRORS.get(kind or ""):
                return self._answer(int(kind or 0), error, {"Content-Length": str(len(error))})
            return self._pass_on(body, kind)

        def _stall(self) -> None:
            proxy.stall()
            self.close_connection = True

        def _reset(self) -> None:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            socket.close(self.connection.detach())  # at once: others hold it open
            self.close_connection = True

        def _read_body(self, pieces: int) -> bytes:
            length, body = int(self.headers.get("Content-Length") or 0), b""
            while len(body) < length:
                body += self.rfile.read(min(length // pieces + 1, length - len(body)))
                if pieces > 1:
                    time.sleep(3 / pieces)
            return body

        def _pass_on(self, body: bytes, kind: Kind | None) -> None:
            headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP_BY_HOP}
            # The signature covers the host that the client sees.
            headers["Host"] = self.headers["Host"]
            answer = httpx.request(self.command, proxy.upstream + self.path, content=body, headers=headers, timeout=30)
            if kind == "lost answer":
                self.close_connection = True
                return
            kept = {name: value for name, value in answer.headers.items() if name.lower() not in _HOP_BY_HOP}
            kept["Content-Length"] = answer.headers.get("content-length", "0")
            self._answer(answer.status_code, answer.content, kept, half=kind == "half body")

        def _answer(self, status: int, content: bytes, headers: dict[str, str], *, half: bool = False) -> None:
            self.send_response_only(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content[: len(content) // 2] if half else content)
            if half:
                self.close_connection = True

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _serve

    return Handler
