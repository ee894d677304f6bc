"""The store of docker/ as it runs, SeaweedFS and the door before it: it keeps versions, and asks for keys."""

import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import grpc
import httpx
import pytest
from botocore.exceptions import ClientError

from synth_platform.snapshots.probe import prove_create_only
from synth_platform.snapshots.store import ensure_bucket, open_store
from synth_platform_tests.conftest import free_port
from synth_platform_tests.deploy.compose import DOCKER, SETTINGS, Services, program, read_compose
from synth_platform_tests.deploy.deployment import PATIENCE, wait_for

pytestmark = pytest.mark.xdist_group("store")
ADMINISTRATOR = b"\n/\n\x04evil\x12 \n\x07evilkey\x12\rs3cretofevil!\x1a\x06Active\x1a\x05Admin"
"""A message of gRPC: an identity with keys of its own that may do everything."""


@dataclass
class Ports:
    """Where the two processes listen."""

    door: int = field(default_factory=free_port)
    s3: int = field(default_factory=free_port)
    s3_grpc: int = field(default_factory=free_port)
    inner: dict[str, int] = field(
        default_factory=lambda: {
            f"-{server}.port{kind}": free_port() for server in ("master", "volume", "filer") for kind in ("", ".grpc")
        }
    )


@pytest.fixture(scope="module")
def ports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ports]:
    """Both processes, with the commands and variables of the Compose file."""
    weed, caddy, folder, ports = program("weed"), program("caddy"), tmp_path_factory.mktemp("store"), Ports()
    for name in ("s3_access_key", "s3_secret_key"):
        (folder / name).write_text(f"{name}-of-the-test")
    replaced = {
        "/run/secrets": str(folder),
        "/etc/caddy": str(DOCKER),
        "-dir=/data": f"-dir={folder}",
        "seaweed|8333": str(ports.s3),
        "http://seaweed:8333": f"http://127.0.0.1:{ports.s3}",
        "http://:8333": f"http://:{ports.door}",
    }
    services = Services(read_compose(SETTINGS), replaced, {"PATH": os.environ["PATH"], "HOME": str(folder)}, folder)
    elsewhere = {**ports.inner, "-s3.port.grpc": ports.s3_grpc}
    commands = {
        "seaweed": [weed, *services.command("seaweed"), *(f"{name}={port}" for name, port in elsewhere.items())],
        "store": [caddy, *services.command("store")[1:]],
    }
    with ExitStack() as stack:
        for name, command in commands.items():
            log = stack.enter_context((folder / f"{name}.log").open("wb"))
            process = subprocess.Popen(
                [str(DOCKER / "entrypoint"), *command], env=services.environment(name), stdout=log, stderr=log
            )
            stack.callback(process.wait)
            stack.callback(process.kill)
        health = f"http://127.0.0.1:{ports.door}/healthz"
        wait_for(lambda: httpx.get(health, trust_env=False).is_success, PATIENCE, "the store does not start")
        yield ports


@pytest.fixture
def keys(ports: Ports, monkeypatch: pytest.MonkeyPatch) -> str:
    """The store's address, in the variables of this process too."""
    address = f"http://127.0.0.1:{ports.door}"
    monkeypatch.setenv("AWS_ENDPOINT_URL", address)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "s3_access_key-of-the-test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3_secret_key-of-the-test")
    return address


def test_versions_and_logs_pass_the_door(keys: str, tmp_path: Path) -> None:
    assert ensure_bucket("s3://synth/data")
    store = open_store("s3://synth/data")
    prove_create_only(store)
    large = tmp_path / "large"
    large.write_bytes(os.urandom(1 << 20) * 20)  # more than one part of an upload
    store.copy_in("a folder/part=1ü.parquet", large)
    store.copy("a folder/part=1ü.parquet", "copy")
    assert store.read("copy") == large.read_bytes()
    assert store.files("") == ["a folder/part=1ü.parquet", "copy"]

    client = boto3.client("s3")
    client.upload_file(str(large), "synth", "compute-logs/x.out")
    link = client.generate_presigned_url("get_object", Params={"Bucket": "synth", "Key": "compute-logs/x.out"})
    assert httpx.get(link, trust_env=False).content == large.read_bytes()


def test_without_keys_nobody_gets_in(ports: Ports, keys: str) -> None:
    ensure_bucket("s3://synth/data")
    assert httpx.get(f"{keys}/synth", trust_env=False).status_code == 403
    evil = boto3.client("s3", aws_access_key_id="evilkey", aws_secret_access_key="s3cretofevil!")
    with pytest.raises(grpc.RpcError):
        make_administrator(ports.door)
    with pytest.raises(ClientError, match="InvalidAccessKeyId"):
        evil.list_buckets()
    make_administrator(ports.s3_grpc)
    assert evil.list_buckets()["Buckets"], "SeaweedFS asks for keys here by now: has the network of its own a reason?"


def make_administrator(port: int) -> None:
    """What everybody may ask of SeaweedFS who reaches the gRPC port of its S3 server."""
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        ask: Any = channel.unary_unary("/messaging_pb.SeaweedS3IamCache/PutIdentity")
        ask(ADMINISTRATOR, timeout=20)


def test_only_s3_listens_beyond_its_container(ports: Ports) -> None:
    def is_open(host: str, port: int) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex((host, port)) == 0

    assert is_open("127.0.0.2", ports.s3) and is_open("127.0.0.2", ports.s3_grpc)
    for name, port in ports.inner.items():
        assert is_open("127.0.0.1", port) and not is_open("127.0.0.2", port), name


def test_the_door_alone_reaches_seaweed() -> None:
    compose = read_compose(SETTINGS)
    reach = {name for name, service in compose["services"].items() if "store" in (service.get("networks") or [])}
    assert reach == {"store", "seaweed"}
    assert compose["services"]["seaweed"]["networks"] == ["store"] and compose["networks"]["store"]["internal"]
