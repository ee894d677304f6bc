"""Stand-ins for the services that alerts go to: an HTTP server and a mail server that write down what they get."""

import json
import socketserver
import ssl
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from synth_platform_tests.conftest import free_port


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


@dataclass
class Guarded(Received):
    """A mail server that takes mail only after STARTTLS and a login."""

    logins: list[bool] = field(default_factory=list)
    """Each try, and whether it was let in."""


@contextmanager
def guarded_mail_server(folder: Path, user: str, password: str) -> Iterator[Guarded]:
    """Serve mail while the block lasts; its certificate, which SSL_CERT_FILE may name, is `folder/mail.pem`."""
    received = Guarded()

    class Mailbox:
        async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
            assert isinstance(envelope.content, bytes)
            received.bodies.append(envelope.content.decode())
            return "250 taken"

    def authenticate(server: SMTP, session: Session, envelope: Envelope, mechanism: str, given: Any) -> AuthResult:
        received.logins.append((given.login, given.password) == (user.encode(), password.encode()))
        return AuthResult(success=received.logins[-1], handled=False)

    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(_certificate(folder / "mail.pem"))
    guards = {"require_starttls": True, "auth_required": True, "auth_exclude_mechanism": ["LOGIN"]}
    controller = Controller(Mailbox(), "127.0.0.1", free_port(), tls_context=tls, authenticator=authenticate, **guards)
    controller.start()
    try:
        received.url = f"smtp://{controller.hostname}:{controller.port}"
        yield received
    finally:
        controller.stop()


def _certificate(path: Path) -> Path:
    """A key and a certificate of 127.0.0.1 that signs itself, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "mail")])
    address = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    signed = builder.add_extension(address, critical=False).sign(key, SHA256())
    plain = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(plain + signed.public_bytes(Encoding.PEM))
    return path


@contextmanager
def _served(server: socketserver.BaseServer) -> Iterator[None]:
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield
    finally:
        server.shutdown()
