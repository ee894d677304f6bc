"""One try of one request: what came back, told apart by whose fault it is when it is no answer."""

import asyncio
import json
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import aiohttp
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from synth_platform.errors import EngineError
from synth_platform.generation.answers.lengths import Lengths
from synth_platform.generation.answers.outcome import Outcome
from synth_platform.secrecy import scrub

Fault = Literal["busy", "error", "lost"]
"""The server asked for less; gave no usable answer; or the connection broke."""

_BUSY = frozenset({429, 503})
_TRY_AGAIN = frozenset({408, 409, 425, 500, 502, 504})
_MISCONFIGURED = frozenset({401, 403, 404})
_CONNECT_SECONDS = 10.0
_IDLE_SECONDS = 4.0
"""An idle connection is not used again after this: uvicorn, in front of vLLM, closes it after 5 s."""
_ALIVE_SECONDS = 5.0
_PROBE_SECONDS = 30.0
_ERROR_CHARACTERS = 300
_JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class Endpoint:
    """Where to send requests."""

    url: str
    """Base address, ending in /v1."""
    model: str
    key: str | None = None


class Trouble(Exception):
    """A try without an outcome; another try may have one.

    Args:
        fault: what kind.
        words: what happened, for people.
        wait: seconds that the server asked for.
    """

    def __init__(self, fault: Fault, words: str, wait: float | None = None) -> None:
        self.fault, self.words, self.wait = fault, _shown(words), wait
        super().__init__(self.words)


class Client:
    """Sends requests over connections that are kept open.

    Args:
        request_seconds: longest wait for one answer.
        lengths: counts answers of servers that do not; None: those stay without a length.
    """

    def __init__(self, request_seconds: float, lengths: Lengths | None = None) -> None:
        # As many connections as requests: what is in flight is limited elsewhere, per server.
        connector = aiohttp.TCPConnector(limit=0, ttl_dns_cache=60, keepalive_timeout=_IDLE_SECONDS)
        self._timeout = aiohttp.ClientTimeout(total=request_seconds, sock_connect=_CONNECT_SECONDS)
        self._http = aiohttp.ClientSession(connector=connector, timeout=self._timeout)
        self._probe_seconds = min(_PROBE_SECONDS, request_seconds)
        self._lengths = lengths
        self._model: str | None = None

    async def __aenter__(self) -> "Client":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.close()

    async def complete(self, endpoint: Endpoint, messages: str, fields: str, *, trusted: bool) -> Outcome:
        """Send a chat completion once.

        Args:
            endpoint: to whom.
            messages: the messages, as JSON.
            fields: all other fields of the request, as a JSON object.
            trusted: whether this server has answered before, so that a refusal is about this request.

        Raises:
            Trouble: no outcome this time.
            EngineError: the server refuses everything, or it is another model that answers now.
            SpecError: the server counts no tokens, and there is no tokenizer to do it.
        """
        body = f'{{"model":{json.dumps(endpoint.model)},"messages":{messages},{fields[1:]}'
        status, answer, headers = await self._post(endpoint, body.encode("utf-8", "surrogatepass"))
        if status < 400:
            outcome, model = _read(answer)
            self._check_model(endpoint, model)
            return await self._counted(outcome)
        if status in _BUSY:
            raise Trouble("busy", f"{status}: {_words(answer)}", _retry_after(headers))
        if status in _TRY_AGAIN or status >= 500:
            raise Trouble("error", f"{status}: {_words(answer)}", _retry_after(headers))
        if status in _MISCONFIGURED and not trusted:
            raise EngineError(
                f"the engine refuses every request: {status} {_words(answer)}",
                where=endpoint.url,
                fix="check engine.urls, engine.model and the key in engine.api_key_env",
            )
        return Outcome("refused_by_engine", error=f"{status}: {_words(answer)}")

    async def alive(self, endpoint: Endpoint) -> bool:
        """Whether anybody listens there and answers at all."""
        try:
            await self._get(endpoint, "/models", _ALIVE_SECONDS)
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False
        return True

    async def generates(self, endpoint: Endpoint) -> bool:
        """Whether it really completes a prompt: a frozen engine still reports its health as good."""
        fields = '{"max_tokens":1}'
        try:
            async with asyncio.timeout(self._probe_seconds):
                outcome = await self.complete(endpoint, '[{"role":"user","content":"Hi"}]', fields, trusted=True)
        except (Trouble, TimeoutError):
            return False
        return outcome.status != "refused_by_engine"

    async def metrics(self, endpoint: Endpoint) -> str | None:
        """The server's Prometheus metrics; None where it has none."""
        url = endpoint.url.removesuffix("/v1") + "/metrics"
        try:
            timeout = aiohttp.ClientTimeout(total=_ALIVE_SECONDS)
            async with self._http.get(url, headers=_headers(endpoint), timeout=timeout) as answer:
                return await answer.text() if answer.status == 200 else None
        except (aiohttp.ClientError, TimeoutError, OSError, UnicodeDecodeError):
            return None

    async def _counted(self, outcome: Outcome) -> Outcome:
        if self._lengths is None or outcome.completion_tokens is not None:
            return outcome
        (counted,) = await asyncio.to_thread(self._lengths.known, [outcome])
        return counted

    def _check_model(self, endpoint: Endpoint, model: object) -> None:
        """One run, one model: a server may be restarted with another one behind the same address."""
        if not isinstance(model, str):
            return
        if self._model is None:
            self._model = model
        elif model != self._model:
            raise EngineError(
                f"the engine answers as {model[:80]!r}, and before as {self._model[:80]!r}",
                where=endpoint.url,
                fix="have all servers serve one model; nothing of the other one was kept",
            )

    async def _post(self, endpoint: Endpoint, body: bytes) -> tuple[int, bytes, Mapping[str, str]]:
        started = time.monotonic()
        try:
            url = f"{endpoint.url}/chat/completions"
            async with self._http.post(url, data=body, headers=_headers(endpoint)) as answer:
                return answer.status, await answer.read(), answer.headers
        except TimeoutError as error:
            if isinstance(error, aiohttp.ConnectionTimeoutError):
                raise Trouble("lost", "no connection in time") from None
            raise Trouble("error", f"no answer in {time.monotonic() - started:.0f} s") from None
        except (aiohttp.ClientError, OSError) as error:
            raise Trouble("lost", f"connection lost: {error or type(error).__name__}") from None

    async def _get(self, endpoint: Endpoint, path: str, seconds: float) -> bytes:
        timeout = aiohttp.ClientTimeout(total=seconds)
        async with self._http.get(endpoint.url + path, headers=_headers(endpoint), timeout=timeout) as answer:
            return await answer.read()


def free_port() -> int:
    """A TCP port that nobody uses right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _headers(endpoint: Endpoint) -> dict[str, str]:
    return {**_JSON, "Authorization": f"Bearer {endpoint.key}"} if endpoint.key else _JSON


_Tokens = Annotated[int, Field(ge=0, lt=1 << 63)]


class _Part(BaseModel):
    """Of an answer: what is read of it must be of its kind, whatever else it holds."""

    model_config = ConfigDict(frozen=True, protected_namespaces=())


class _Message(_Part):
    content: str | None = None


class _Choice(_Part):
    message: _Message
    finish_reason: str | None = None


class _Usage(_Part):
    prompt_tokens: _Tokens | None = None
    completion_tokens: _Tokens | None = None


class _Answer(_Part):
    choices: Annotated[list[_Choice], Field(min_length=1)]
    usage: _Usage | None = None
    model: Any = None


def _read(answer: bytes) -> tuple[Outcome, object]:
    """The outcome of a good answer, and the model that it names; a malformed one may be better next time."""
    try:
        body = _Answer.model_validate_json(answer)
    except ValidationError as error:
        first, shown = error.errors()[0], _shown(answer.decode("utf-8", "replace"))[:_ERROR_CHARACTERS]
        what = ": ".join([".".join(map(str, first["loc"])), first["msg"]]).removeprefix(": ")
        raise Trouble("error", f"malformed answer ({what}): {shown!r}") from None
    choice, usage = body.choices[0], body.usage or _Usage()
    text = choice.message.content or ""
    status = "truncated" if choice.finish_reason == "length" else "ok" if text.strip() else "empty"
    return Outcome(status, text, choice.finish_reason, usage.prompt_tokens, usage.completion_tokens), body.model


def _words(answer: bytes) -> str:
    """The server's own explanation; some quote the key that they refuse."""
    text = answer.decode("utf-8", "replace")
    try:
        body = json.loads(text)
        error = body.get("error", body) if isinstance(body, dict) else body
        text = error.get("message", error) if isinstance(error, dict) else error
    except (ValueError, RecursionError):
        pass
    return " ".join(_shown(str(text)).split())[:_ERROR_CHARACTERS]


def _shown(text: str) -> str:
    """Words of a server as they may be written down: without secrets, and with nothing that UTF-8 cannot hold."""
    return scrub(text.encode("utf-8", "replace").decode())


def _retry_after(headers: Mapping[str, str]) -> float | None:
    try:
        return max(float(headers["Retry-After"]), 0.0)
    except (KeyError, ValueError):
        return None
