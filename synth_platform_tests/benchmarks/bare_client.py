"""The least that a client can do: send prompts, read answers, keep nothing. The ceiling for every other client."""

import asyncio
import json
import time
from collections.abc import Iterable
from typing import Any

import aiohttp


def send(url: str, model: str, prompts: Iterable[str], fields: dict[str, Any], concurrency: int) -> tuple[float, int]:
    """Send all prompts, so many in flight.

    Returns:
        Seconds, and tokens that came back.
    """
    started = time.monotonic()
    tokens = asyncio.run(_send(url, model, iter(prompts), fields, concurrency))
    return time.monotonic() - started, tokens


async def _send(url: str, model: str, prompts: Iterable[str], fields: dict[str, Any], concurrency: int) -> int:
    tokens = 0
    timeout = aiohttp.ClientTimeout(total=600)
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=4), timeout=timeout
    ) as http:

        async def worker() -> None:
            nonlocal tokens
            for prompt in prompts:
                message = {"role": "user", "content": prompt}
                body = json.dumps({"model": model, "messages": [message], **fields})
                headers = {"content-type": "application/json"}
                async with http.post(f"{url}/chat/completions", data=body, headers=headers) as response:
                    answer = json.loads(await response.read())
                assert answer["choices"][0]["message"]["content"] is not None
                tokens += answer["usage"]["completion_tokens"]

        await asyncio.gather(*(worker() for _ in range(concurrency)))
    return tokens
