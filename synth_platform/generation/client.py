"""Send one prompt, get one outcome: retries for what may pass, the server's words for what will not."""

import asyncio
import json
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from synth_platform.errors import EngineError
from synth_platform.generation.config import ClientSettings
from synth_platform.generation.server import Endpoint

_RETRYABLE = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 20.0
_ERROR_CHARACTERS = 300


@dataclass(frozen=True)
class Outcome:
    """What became of a prompt."""

    status: str
    text: str = ""
    finish_reason: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    error: str | None = None
    attempts: int = 1
    seconds: float = 0.0


@dataclass(frozen=True)
class _Trouble(Exception):
    """A try that failed in a way that may pass."""

    words: str
    wait: float | None = None
    unreachable: bool = False


class Client:
    """Asks one or more servers; the least busy one first.

    Args:
        endpoints: where they are.
        settings: concurrency, timeout, attempts.
    """

    def __init__(self, endpoints: Sequence[Endpoint], settings: ClientSettings) -> None:
        self._endpoints, self._settings = list(endpoints), settings
        self._busy = dict.fromkeys(self._endpoints, 0)
        self._slots = asyncio.Semaphore(settings.concurrency)
        self._rng = random.Random()
        limits = httpx.Limits(max_connections=settings.concurrency, max_keepalive_connections=settings.concurrency)
        timeout = httpx.Timeout(settings.request_seconds, connect=10.0, pool=None)
        self._http = httpx.AsyncClient(limits=limits, timeout=timeout, trust_env=False)

    async def __aenter__(self) -> "Client":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def complete(self, messages: list[dict[str, str]], fields: dict[str, object]) -> Outcome:
        """One answer, once a slot is free.

        Raises:
            EngineError: no server can be reached any more; the row is not to blame.
        """
        async with self._slots:
            started = time.monotonic()
            trouble = _Trouble("never tried")
            for attempt in range(1, self._settings.attempts + 1):
                endpoint = min(self._endpoints, key=lambda one: self._busy[one])
                self._busy[endpoint] += 1
                try:
                    outcome = await self._try(endpoint, messages, fields)
                except _Trouble as error:
                    trouble = error
                else:
                    return _timed(outcome, attempt, started)
                finally:
                    self._busy[endpoint] -= 1
                if attempt < self._settings.attempts:
                    await asyncio.sleep(self._pause(attempt, trouble))
            if trouble.unreachable:
                raise EngineError(
                    f"the engine cannot be reached: {trouble.words}",
                    where=", ".join(endpoint.url for endpoint in self._endpoints),
                    fix="start it, or see its log; then run again: committed shards are kept",
                )
            return _timed(Outcome("failed", error=trouble.words), self._settings.attempts, started)

    async def _try(self, endpoint: Endpoint, messages: list[dict[str, str]], fields: dict[str, object]) -> Outcome:
        headers = {"Authorization": f"Bearer {endpoint.key}"} if endpoint.key else {}
        body = {"model": endpoint.model, "messages": messages, **fields}
        try:
            answer = await self._http.post(f"{endpoint.url}/chat/completions", json=body, headers=headers)
        except httpx.TimeoutException as error:
            raise _Trouble(f"no answer in time ({type(error).__name__})") from None
        except (httpx.ConnectError, httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError) as error:
            dead = not await self._healthy(endpoint)
            raise _Trouble(f"connection lost: {error or type(error).__name__}", unreachable=dead) from None
        if answer.status_code in _RETRYABLE:
            raise _Trouble(f"{answer.status_code}: {_words(answer)}", wait=_retry_after(answer))
        if answer.status_code in (401, 403, 404):
            raise EngineError(
                f"the engine refuses every request: {answer.status_code} {_words(answer)}",
                where=endpoint.url,
                fix="check engine.urls, engine.model and the key in engine.api_key_env",
            )
        if answer.status_code >= 400:
            return Outcome("refused_by_engine", error=f"{answer.status_code}: {_words(answer)}")
        return _read(answer)

    async def _healthy(self, endpoint: Endpoint) -> bool:
        try:
            answer = await self._http.get(f"{endpoint.url}/models", timeout=10.0)
        except httpx.HTTPError:
            return False
        return answer.status_code < 500

    def _pause(self, attempt: int, trouble: _Trouble) -> float:
        pause = min(_FIRST_PAUSE_SECONDS * 2 ** (attempt - 1), _LONGEST_PAUSE_SECONDS)
        pause *= self._rng.uniform(0.5, 1.5)
        return max(pause, min(trouble.wait or 0.0, _LONGEST_PAUSE_SECONDS * 3))


def _read(answer: httpx.Response) -> Outcome:
    """The outcome of a good answer; a malformed one may be better next time."""
    try:
        body: Any = answer.json()
        choice = body["choices"][0]
        text = choice["message"].get("content") or ""
        finish, usage = choice.get("finish_reason"), body.get("usage") or {}
        tokens = (usage.get("prompt_tokens"), usage.get("completion_tokens"))
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, IndexError, TypeError, AttributeError):
        raise _Trouble(f"malformed answer: {answer.text[:_ERROR_CHARACTERS]!r}") from None
    status = "truncated" if finish == "length" else "ok" if text.strip() else "empty"
    return Outcome(status, text, finish, *tokens)


def _timed(outcome: Outcome, attempts: int, started: float) -> Outcome:
    from dataclasses import replace

    return replace(outcome, attempts=attempts, seconds=time.monotonic() - started)


def _words(answer: httpx.Response) -> str:
    """The server's own explanation."""
    try:
        body = answer.json()
        error = body.get("error", body) if isinstance(body, dict) else body
        words = error.get("message", error) if isinstance(error, dict) else error
    except ValueError:
        words = answer.text
    return " ".join(str(words).split())[:_ERROR_CHARACTERS]


def _retry_after(answer: httpx.Response) -> float | None:
    try:
        return float(answer.headers["Retry-After"])
    except (KeyError, ValueError):
        return None
