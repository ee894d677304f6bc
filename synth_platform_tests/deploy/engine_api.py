"""Enough of the Docker Engine's API for a run launcher: containers are plain processes with nothing but their own
environment and what the image sets."""

import json
import os
import re
import signal
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from synth_platform_tests.serving import QuietHandler, serving

_PATH = re.compile(r"(?:/v1\.\d+)?/(.*)")


@dataclass
class Container:
    """A container as it was asked for, and its process; with `AutoRemove` it is gone when that ends."""

    config: dict[str, Any]
    process: subprocess.Popen[bytes] | None = None

    @property
    def is_removed(self) -> bool:
        """Whether the engine knows it no more."""
        ended = self.process is not None and self.process.poll() is not None
        return ended and bool(self.config.get("HostConfig", {}).get("AutoRemove"))

    def state(self) -> dict[str, Any]:
        """What the API says of it."""
        if self.process is None:
            return {"Status": "created", "Running": False, "ExitCode": 0}
        code = self.process.poll()
        return {"Status": "running" if code is None else "exited", "Running": code is None, "ExitCode": code or 0}


@dataclass
class EngineApi:
    """A running stand-in."""

    image: dict[str, str]
    """Variables that the image sets."""
    logs: Path
    host: str = ""
    containers: dict[str, Container] = field(default_factory=dict)
    requests: list[tuple[str, str]] = field(default_factory=list)
    """Method and path of each request, as an allow-list sees them."""

    def answer(self, method: str, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        """Status and JSON of a request."""
        self.requests.append((method, path))
        asked = _PATH.fullmatch(path.split("?")[0])
        match [method, *(asked.group(1).split("/") if asked else [])]:
            case ["GET", "version"]:
                return 200, {"ApiVersion": "1.51", "MinAPIVersion": "1.24", "Version": "28.5"}
            case ["POST", "containers", "create"]:
                name = uuid.uuid4().hex
                self.containers[name] = Container(body)
                return 201, {"Id": name, "Warnings": []}
            case ["POST", "containers", name, "start"] if name in self.containers:
                self._start(name)
                return 204, None
            case ["POST", "containers", name, "stop"] if name in self.containers:
                self.kill(name, signal.SIGTERM)
                return 204, None
            case ["GET", "containers", name, "json"] if (
                name in self.containers and not self.containers[name].is_removed
            ):
                container = self.containers[name]
                return 200, {"Id": name, "State": container.state(), "Config": container.config, "Name": name}
        return 404, {"message": f"no such thing: {method} {path}"}

    def _present(self, name: str) -> Container | None:
        container = self.containers.get(name)
        return None if container is None or container.is_removed else container

    def kill(self, name: str, how: signal.Signals = signal.SIGKILL) -> None:
        """Signal all processes of a container."""
        process = self.containers[name].process
        if process is not None and process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, how)

    def _start(self, name: str) -> None:
        container = self.containers[name]
        given = dict(entry.split("=", 1) for entry in container.config.get("Env") or [])
        with (self.logs / f"run-{name[:8]}.log").open("ab") as log:
            container.process = subprocess.Popen(
                container.config["Cmd"],
                env={**self.image, **given},
                cwd=self.logs,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )


@contextmanager
def engine_api(image: dict[str, str], logs: Path) -> Iterator[EngineApi]:
    """Serve the API while the block lasts; containers end with it."""
    api = EngineApi(image, logs)
    with serving(_handler(api)) as address:
        api.host = f"tcp://{address}"
        try:
            yield api
        finally:
            for name in api.containers:
                api.kill(name)


def _handler(api: EngineApi) -> type[QuietHandler]:
    class Handler(QuietHandler):
        def _serve(self) -> None:
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, answer = api.answer(self.command, self.path, json.loads(raw) if raw else {})
            content = b"" if answer is None else json.dumps(answer).encode()
            self.send_response_only(status)
            self.send_header("Content-Type", "application/json")
            if status != 204:
                self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_DELETE = _serve

    return Handler
