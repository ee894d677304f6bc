"""An OpenAI-compatible server for tests and benchmarks: deterministic answers, a chosen speed, and faults on demand.

python -m synth_platform_tests.generation.mock_server --port 8000 --workers 2 --faults '[{"kind": "503", "share": 0.1}]'

An ASGI application on uvicorn, in several processes on one port. Everything the processes must agree on (how often a
prompt was tried, how many requests there were, when the first one came) lies in small files of one folder.
"""

import argparse
import asyncio
import hashlib
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

PROBE = "Hi"
"""The prompt that asks only whether the server works: not in the book, no fault by share, times or number."""
_MALFORMED = b'{"choices": ['
_HANG_SECONDS = 3600.0
_VARIANTS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "odd": lambda right: {"usage": {"prompt_tokens": 5.5, "completion_tokens": ["many"]}},
    "spelled": lambda right: {
        "usage": {
            "prompt_tokens": float(right["usage"]["prompt_tokens"]),
            "completion_tokens": str(right["usage"]["completion_tokens"]),
        }
    },
    "uncounted": lambda right: {"usage": None},
}
"""What answers hold instead, by kind of fault."""


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong.

    Args:
        kind: an HTTP status (``429``, ``500``, ``503``, ...), ``surrogate`` (400, in words that are not Unicode),
            ``hang``, ``drop`` (the connection), ``half`` (of an answer), ``malformed`` JSON, ``odd`` (values of other
            kinds than they should have), ``spelled`` (a right answer, with numbers as others write them),
            ``uncounted`` (one without ``usage``), ``empty`` (no choice), ``drip`` (slowly), ``die`` (all processes),
            or ``oom`` (die, saying that memory ran out).
        share: of all prompts, chosen by their digest.
        times: only the first so many tries of a prompt; None: each.
        seconds: only so long after the first request that is no probe; None: always.
        after: only once so many requests have come; with ``die`` and ``oom`` just at that number.
        containing: only prompts with this text.
    """

    kind: str
    share: float = 1.0
    times: int | None = None
    seconds: float | None = None
    after: int | None = None
    containing: str | None = None


class Mock:
    """Answers by prompt; unknown prompts get a text made from their digest, or themselves."""

    def __init__(
        self,
        answers: Mapping[str, str],
        folder: Path,
        faults: list[Fault],
        *,
        grades: Mapping[str, int] | None = None,
        latency: float = 0.0,
        tokens_per_second: float = 0.0,
        book: bool = True,
        echo: bool = False,
        model: str = "mock",
        root: str = "mock-1",
    ) -> None:
        self._answers, self._folder, self._faults, self._grades = answers, folder, faults, grades or {}
        self._echo = echo
        self._latency, self._rate, self._model, self._root = latency, tokens_per_second, model, root
        self._book = os.open(folder / "requests.txt", os.O_WRONLY | os.O_APPEND | os.O_CREAT) if book else None
        self._running = 0
        self._tokens = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI application."""
        if scope["type"] != "http":
            return
        path = scope["path"]
        if path == "/v1/chat/completions":
            await self._complete(await _body(receive), send, _key(scope))
        elif path == "/v1/models":
            await self._json(send, 200, {"data": [{"id": self._model, "root": self._root}]})
        elif path == "/health":
            await self._answer(send, 200, b"")
        elif path == "/metrics":
            await self._answer(send, 200, self._metrics().encode())
        else:
            await self._json(send, 404, {"error": {"message": f"nothing at {path}"}})

    async def _complete(self, body: Mapping[str, Any], send: Send, api_key: str) -> None:
        prompt = body["messages"][-1]["content"]
        key = hashlib.sha256(prompt.encode()).hexdigest()
        if self._book is not None and prompt != PROBE:
            os.write(self._book, f"{key}\n".encode())
        self._running += 1
        try:
            text = self._answers.get(prompt) or self._grade(prompt, body)
            text = text or (prompt if self._echo else f"Nothing is known of {key}.")
            words = len(text.split())
            if self._latency or self._rate:
                await asyncio.sleep(self._latency + (words / self._rate if self._rate else 0.0))
            fault, completion = self._fault(prompt, key), self._completion(prompt, text, words, body)
            if fault is not None and fault.kind in _VARIANTS:
                await self._json(send, 200, completion | _VARIANTS[fault.kind](completion))
            elif fault is not None:
                await self._misbehave(fault, send, api_key)
            else:
                self._tokens += words
                await self._json(send, 200, completion)
        finally:
            self._running -= 1

    def _grade(self, prompt: str, body: Mapping[str, Any]) -> str | None:
        """A judge's reply where grades are asked for: the grade of the first known text in the prompt, or the best."""
        asked = body.get("response_format", {}).get("json_schema", {}).get("schema", {}).get("properties", {})
        if "score" not in asked:
            return None
        found = (grade for text, grade in self._grades.items() if text in prompt)
        return json.dumps({"reason": "It was asked to.", "score": next(found, max(asked["score"]["enum"]))})

    def _completion(self, prompt: str, text: str, words: int, body: Mapping[str, Any]) -> dict[str, Any]:
        finish = "length" if words > body.get("max_tokens", 10**9) and prompt != PROBE else "stop"
        return {
            "model": self._model,
            "choices": [{"message": {"role": "assistant", "content": text}, "finish_reason": finish}],
            "usage": {"prompt_tokens": len(prompt.split()), "completion_tokens": words},
        }

    def _fault(self, prompt: str, key: str) -> Fault | None:
        return next((fault for fault in self._faults if self._applies(fault, prompt, key)), None)

    def _applies(self, fault: Fault, prompt: str, key: str) -> bool:
        if fault.containing is not None and fault.containing not in prompt:
            return False
        partial = fault.share < 1 or fault.times is not None or fault.after is not None
        if prompt == PROBE and (partial or fault.containing is not None):
            return False
        if int(key[:8], 16) / 0xFFFFFFFF >= fault.share and fault.share < 1:
            return False
        if fault.seconds is not None and not 0 <= self._seconds_since_first(prompt) < fault.seconds:
            return False
        if fault.after is not None and not self._reached(fault):
            return False
        return fault.times is None or self._tries(key, fault) <= fault.times

    def _seconds_since_first(self, prompt: str) -> float:
        """Seconds since any process got its first real request (the mark's time); -1 before that."""
        mark = self._folder / "first"
        if not mark.exists():
            if prompt == PROBE:
                return -1.0
            with mark.open("a"):
                pass
        return time.time() - mark.stat().st_mtime

    def _tries(self, key: str, fault: Fault) -> int:
        """How often a prompt came, counted over all processes by the length of a file."""
        with (self._folder / f"tries-{fault.kind}-{key[:32]}").open("ab") as file:
            file.write(b".")
            file.flush()
            return file.tell()

    def _reached(self, fault: Fault) -> bool:
        assert fault.after is not None
        with (self._folder / f"count-{fault.kind}").open("ab") as file:
            file.write(b".")
            file.flush()
            count = file.tell()
        return count == fault.after if fault.kind in ("die", "oom") else count >= fault.after

    async def _misbehave(self, fault: Fault, send: Send, api_key: str) -> None:
        kind = fault.kind
        if kind == "surrogate":
            await self._answer(send, 400, b'{"error": {"message": "not \\ud800 allowed"}}')
        elif kind.isdigit():
            message = "this prompt is not allowed" if kind == "400" else "not now"
            message += f" (your key: {api_key})" if api_key else ""
            await self._json(send, int(kind), {"error": {"message": message}}, [(b"retry-after", b"0")])
        elif kind == "hang":
            await asyncio.sleep(_HANG_SECONDS)
        elif kind == "malformed":
            await self._answer(send, 200, _MALFORMED)
        elif kind == "empty":
            await self._json(send, 200, {"model": self._model, "choices": []})
        elif kind == "drip":
            await self._start(send, 200, 1000)
            for _ in range(1000):
                await send({"type": "http.response.body", "body": b" ", "more_body": True})
                await asyncio.sleep(1.0)
        elif kind in ("drop", "half"):
            if kind == "half":
                await self._start(send, 200, 1000)
                await send({"type": "http.response.body", "body": _MALFORMED, "more_body": True})
            raise ConnectionAbortedError  # uvicorn closes the connection
        elif kind in ("die", "oom"):
            if kind == "oom":
                print("torch.OutOfMemoryError: CUDA out of memory.", file=sys.stderr, flush=True)
            os.killpg(os.getpgrp(), signal.SIGABRT)  # all processes at once, and by no signal from outside
        else:
            raise ValueError(f"no fault is called {kind!r}")

    def _metrics(self) -> str:
        return (
            f'vllm:num_requests_running{{model_name="{self._model}"}} {self._running}\n'
            f'vllm:num_requests_waiting{{model_name="{self._model}"}} 0\n'
            f'vllm:generation_tokens_total{{model_name="{self._model}"}} {self._tokens}\n'
            f'vllm:prefix_cache_queries_total{{model_name="{self._model}"}} {self._tokens}\n'
            f'vllm:prefix_cache_hits_total{{model_name="{self._model}"}} {self._tokens // 4}\n'
        )

    async def _json(
        self, send: Send, status: int, value: Any, headers: list[tuple[bytes, bytes]] | None = None
    ) -> None:
        await self._answer(send, status, json.dumps(value).encode(), headers)

    async def _answer(
        self, send: Send, status: int, data: bytes, headers: list[tuple[bytes, bytes]] | None = None
    ) -> None:
        await self._start(send, status, len(data), headers)
        await send({"type": "http.response.body", "body": data})

    async def _start(
        self, send: Send, status: int, length: int, headers: list[tuple[bytes, bytes]] | None = None
    ) -> None:
        known = [(b"content-type", b"application/json"), (b"content-length", str(length).encode())]
        await send({"type": "http.response.start", "status": status, "headers": [*known, *(headers or [])]})


def _key(scope: Scope) -> str:
    """The API key of a request; servers that others run have been seen to quote it in their errors."""
    return dict(scope["headers"]).get(b"authorization", b"").decode().removeprefix("Bearer ")


async def _body(receive: Receive) -> dict[str, Any]:
    data = b""
    while True:
        message = await receive()
        data += message.get("body", b"")
        if not message.get("more_body"):
            return json.loads(data)


def serve(mock_options: Callable[[], Mock], port: int, workers: int) -> None:
    """Run the application in so many processes that share one port, until killed."""
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind(("127.0.0.1", port))
    listening.listen(2048)
    for _ in range(workers - 1):
        if os.fork() == 0:
            break
    options = uvicorn.Config(mock_options(), log_level="critical", access_log=False, lifespan="off", backlog=2048)
    uvicorn.Server(options).run(sockets=[listening])


def main(arguments: list[str] | None = None) -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--answers", type=Path)
    parser.add_argument("--grades", default="{}", help="JSON: a text in a judge's prompt to the grade that it gets")
    parser.add_argument("--served-model-name", default="mock")
    parser.add_argument("--root", default="mock-1")
    parser.add_argument("--latency", type=float, default=0.0)
    parser.add_argument("--tokens-per-second", type=float, default=0.0)
    parser.add_argument("--no-book", action="store_true")
    parser.add_argument("--echo", action="store_true")
    parser.add_argument("--faults", default="[]")
    options, _ = parser.parse_known_args(arguments)  # stands in for vLLM, whose other arguments it ignores
    answers = json.loads(options.answers.read_text("utf-8")) if options.answers else {}
    options.folder.mkdir(parents=True, exist_ok=True)
    with (options.folder / "starts.txt").open("a") as starts:
        starts.write(" ".join(arguments or sys.argv[1:]) + "\n")

    def make() -> Mock:
        return Mock(
            answers,
            options.folder,
            [Fault(**fault) for fault in json.loads(options.faults)],
            grades=json.loads(options.grades),
            latency=options.latency,
            tokens_per_second=options.tokens_per_second,
            book=not options.no_book,
            echo=options.echo,
            model=options.served_model_name,
            root=options.root,
        )

    serve(make, options.port, options.workers)


if __name__ == "__main__":
    main(sys.argv[1:])
