"""Who stands behind an address: servers that others run, and what is known of them."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Protocol

import httpx

from synth_platform.errors import EngineError
from synth_platform.generation.config import ClientSettings, EndpointEngine
from synth_platform.generation.identity import ServedModel, endpoint_digest
from synth_platform.generation.servers.client import Endpoint
from synth_platform.generation.servers.concurrency import AdaptiveLimit
from synth_platform.generation.servers.pool import Server

_ASK_SECONDS = 30.0
_SLOW_START = 64


class Host(Protocol):
    """One server, as far as its life is concerned."""

    @property
    def name(self) -> str:
        """For people."""
        ...

    @property
    def endpoint(self) -> Endpoint:
        """Where it is now."""
        ...

    @property
    def starts_full(self) -> bool:
        """Whether it may get all of its requests at once, instead of few at first."""
        ...

    async def revive(self, failed_probes: int, answers: int) -> Endpoint:
        """Bring it back after it was lost, and say where it is. Raises EngineError if it never will be."""
        ...

    async def was_killed(self) -> bool:
        """Whether something other than a request ended it."""
        ...


def server_of(host: Host, settings: ClientSettings) -> Server:
    """The pool's view of a host."""
    most = settings.concurrency
    limit = AdaptiveLimit(most, most if host.starts_full else _SLOW_START, settings.request_seconds)
    return Server(host.name, host.endpoint, limit, host.revive, host.was_killed)


class ExternalHost:
    """A server that others run: all we can do is wait for it, and look whether it is still the same.

    Args:
        endpoint: where it is.
        verify: raises EngineError if it serves something else by now.
    """

    starts_full = False

    def __init__(self, endpoint: Endpoint, verify: Callable[[Endpoint], None]) -> None:
        self.endpoint, self._verify = endpoint, verify
        self.name = endpoint.url

    async def revive(self, failed_probes: int, answers: int) -> Endpoint:
        await asyncio.to_thread(self._verify, self.endpoint)
        return self.endpoint

    async def was_killed(self) -> bool:
        return False


def external_hosts(spec: EndpointEngine, environment: Mapping[str, str]) -> tuple[list[ExternalHost], str]:
    """The servers that a spec names, and the digest of what they serve.

    Servers that cannot be reached now are left for later; those that can must serve the same.

    Raises:
        EngineError: the key is not set, no server can be reached, one does not serve the model, or two differ.
    """
    endpoints = _endpoints(spec, environment)
    served: dict[str, ServedModel] = {}
    problems: list[EngineError] = []
    for endpoint in endpoints:
        try:
            served[endpoint.url] = ask_model(endpoint)
        except Unreachable as error:
            problems.append(error)
    if not served:
        raise problems[0]
    first_url, first = next(iter(served.items()))

    def verify(endpoint: Endpoint) -> None:
        try:
            found = ask_model(endpoint)
        except Unreachable:
            return  # not yet back
        if found != first:
            raise EngineError(
                f"two servers serve different things: {_say(first)} at {first_url}, {_say(found)} at {endpoint.url}",
                where="engine.urls",
                fix="name only servers of one model and version; what was answered is kept",
            )

    for endpoint in endpoints:
        if endpoint.url in served:
            verify(endpoint)
    return [ExternalHost(endpoint, verify) for endpoint in endpoints], endpoint_digest(spec, first)


class Unreachable(EngineError):
    """A server does not answer; it may later."""


def ask_model(endpoint: Endpoint) -> ServedModel:
    """What a server says of the model that it is asked for.

    Raises:
        Unreachable: it does not answer.
        EngineError: it refuses, or does not serve the model.
    """
    headers = {"Authorization": f"Bearer {endpoint.key}"} if endpoint.key else {}
    try:
        with httpx.Client(headers=headers, timeout=_ASK_SECONDS, trust_env=False) as http:
            answer = http.get(f"{endpoint.url}/models")
            if answer.status_code in (401, 403):
                raise EngineError(
                    f"the engine refuses the key: {answer.status_code}",
                    where=endpoint.url,
                    fix="check engine.api_key_env",
                )
            answer.raise_for_status()
            served = {model["id"]: str(model.get("root") or model["id"]) for model in answer.json()["data"]}
            version = _version(http, endpoint)
    except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
        raise Unreachable(
            f"the engine cannot be reached: {error or type(error).__name__}",
            where=endpoint.url,
            fix="start it, or correct engine.urls; then run again: what was answered is kept",
        ) from None
    if endpoint.model not in served:
        raise EngineError(
            f"the engine does not serve {endpoint.model!r}",
            where=endpoint.url,
            fix=f"set engine.model to one of {', '.join(map(repr, served))}",
        )
    return ServedModel(served[endpoint.model], version)


def _endpoints(spec: EndpointEngine, environment: Mapping[str, str]) -> list[Endpoint]:
    key = None
    if spec.api_key_env is not None and not (key := environment.get(spec.api_key_env)):
        raise EngineError(
            f"the environment variable {spec.api_key_env} is not set",
            where="engine.api_key_env",
            fix="set it to the server's key",
        )
    return [Endpoint(url, spec.model, key) for url in spec.urls]


def _version(http: httpx.Client, endpoint: Endpoint) -> str | None:
    """vLLM's version, where the server is one."""
    answer = http.get(endpoint.url.removesuffix("/v1") + "/version")
    try:
        body = answer.json() if answer.status_code == 200 else None
        return str(body["version"]) if isinstance(body, dict) and "version" in body else None
    except ValueError:
        return None


def _say(served: ServedModel) -> str:
    return f"{served.root} {served.version or ''}".strip()
