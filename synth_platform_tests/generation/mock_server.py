"""An OpenAI-compatible server for tests, in a process of its own: known answers, a ledger of requests, and faults.

python -m synth_platform_tests.generation.mock_server --port 8000 --answers answers.json --ledger ledger.txt
"""

import argparse
import asyncio
import hashlib
import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route


class Mock:
    """Answers by prompt; unknown prompts get a text made from their digest.

    Faults, as JSON: ``status`` (code for the first ``times`` tries of each prompt), ``malformed`` (the same with a
    broken body), ``refuse`` (prompts that contain this text get a 400), ``die_after`` (requests until the process
    ends), ``delay`` (seconds per request).
    """

    def __init__(self, answers: dict[str, str], ledger: Path, faults: dict[str, Any]) -> None:
        self._answers, self._ledger, self._faults = answers, ledger, faults
        self._tries: Counter[str] = Counter()

    async def models(self, request: Request) -> Response:
        return JSONResponse({"data": [{"id": "mock", "root": "mock-1"}]})

    async def complete(self, request: Request) -> Response:
        body = await request.json()
        prompt = body["messages"][-1]["content"]
        key = hashlib.sha256(prompt.encode()).hexdigest()
        with self._ledger.open("a") as file:
            file.write(key + "\n")
        self._tries[key] += 1
        faults = self._faults
        if faults.get("die_after") is not None and sum(self._tries.values()) > faults["die_after"]:
            os._exit(9)
        await asyncio.sleep(faults.get("delay", 0.0))
        if self._tries[key] <= faults.get("times", 0):
            if faults.get("malformed"):
                return PlainTextResponse('{"choices": [')
            return JSONResponse({"error": {"message": "not now"}}, faults["status"], headers={"Retry-After": "0"})
        if faults.get("refuse") and faults["refuse"] in prompt:
            return JSONResponse({"error": {"message": "this prompt is not allowed"}}, 400)
        text = self._answers.get(prompt, f"Nothing is known of {key}.")
        words = len(text.split())
        finish = "length" if words > body.get("max_tokens", 10**9) else "stop"
        return JSONResponse(
            {
                "choices": [{"message": {"role": "assistant", "content": text}, "finish_reason": finish}],
                "usage": {"prompt_tokens": len(prompt.split()), "completion_tokens": words},
            }
        )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--answers", type=Path)
    parser.add_argument("--ledger", type=Path, required=True)
    parser.add_argument("--faults", default="{}")
    options = parser.parse_args()
    answers = json.loads(options.answers.read_text("utf-8")) if options.answers else {}
    mock = Mock(answers, options.ledger, json.loads(options.faults))
    routes = [
        Route("/v1/models", mock.models),
        Route("/v1/chat/completions", mock.complete, methods=["POST"]),
    ]
    uvicorn.run(Starlette(routes=routes), host="127.0.0.1", port=options.port, log_level="error")


if __name__ == "__main__":
    main()
