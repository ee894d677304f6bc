"""The container that this process runs in, by the tags with which a deployment's launcher finds it.

Run monitoring fails a run that stands in no container. Those that a launcher made are tagged by it; a run of a `synth`
command has to say itself where it lives, so that it is let go on, and failed when its container is gone.
"""

import os
from contextlib import suppress
from pathlib import Path

import httpx

from synth_platform.processes import began_this_container, this_host

_ECS = "ECS_CONTAINER_METADATA_URI_V4"
_SECONDS = 5
_DOCKER = Path("/.dockerenv")


def container_tags() -> dict[str, str]:
    """Tags of a run that lives in this process; none where it is in no container, or in one that others live by.

    Whoever ends the run in the interface has the launcher end the container. So a command that was brought into the
    container of a service (`docker exec`) gives none.
    """
    if address := os.environ.get(_ECS):
        with suppress(httpx.HTTPError):
            task = httpx.get(f"{address}/task", timeout=_SECONDS, trust_env=False).raise_for_status().json()
            return {"ecs/task_arn": task["TaskARN"], "ecs/cluster": task["Cluster"]}
    elif _DOCKER.exists() and began_this_container():
        return {"docker/container_id": this_host()}
    return {}
