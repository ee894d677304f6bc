"""Stand-ins for the services that alerts go to: an HTTP server and a mail server that write down what they get."""

import json
import socketserver
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Received:
    """A stand-in: its address, and what came."""

    url: str = ""
    bodies: list[Any] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)


@contextmanager
def web_service(statuses: Sequence[int] = (200,)) -> Iterator[Received]:
    """Answers with these statuses in turn, the last one from then on."""
    received = Received()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            status = statuses[min(len(received.bodies), len(statuses) - 1)]
            received.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            received.headers.append(dict(self.headers))
            self.send_response(status)
            self.send_header("Content-Length", "0")
            if status in (301, 302):
                self.send_header("Location", "http://127.0.0.1:9/elsewhere")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server, _served(server):
        received.url = f"http://127.0.0.1:{server.server_address[1]}/services/T0AB1CD2E/s3cr3tp4rt"
        yield received


@contextmanager
def mail_server(refuses: bool = False) -> Iterator[Received]:
    """Takes mail without a login; or refuses all recipients."""
    received = Received()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self._say("220 ready")
            for line in iter(lambda: self.rfile.readline().decode().strip(), ""):
                command = line.split(" ")[0].upper()
                if command == "DATA":
                    self._say("354 go on")
                    lines = list(iter(lambda: self.rfile.readline().decode().rstrip("\r\n"), "."))
                    received.bodies.append("\n".join(lines))
                    self._say("250 taken")
                elif command == "QUIT":
                    self._say("221 bye")
                    return
                else:
                    self._say("550 no" if refuses and command == "RCPT" else "250 yes")

        def _say(self, line: str) -> None:
            self.wfile.write(f"{line}\r\n".encode())

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server, _served(server):
        received.url = f"smtp://127.0.0.1:{server.server_address[1]}"
        yield received


@contextmanager
def _served(server: socketserver.BaseServer) -> Iterator[None]:
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield
    finally:
        server.shutdown()
