"""Which S3 server and region the environment means, for versions and sources alike."""

from collections.abc import Callable
from pathlib import Path

import boto3
import pytest
from moto import mock_aws

from synth_platform.snapshots.store import S3Store, ensure_bucket, open_objects
from synth_platform.sources.locations import find_files

NAMES = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_REGION", "AWS_DEFAULT_REGION")


@pytest.mark.parametrize(
    ("given", "endpoint"),
    [
        ({}, None),
        ({"AWS_REGION": "eu-central-1"}, None),
        ({"AWS_ENDPOINT_URL": "", "AWS_REGION": "eu-central-1"}, "https://s3.eu-central-1.amazonaws.com"),
        ({"AWS_ENDPOINT_URL": "", "AWS_DEFAULT_REGION": "eu-west-1"}, "https://s3.eu-west-1.amazonaws.com"),
        ({"AWS_ENDPOINT_URL_S3": "", "AWS_REGION": "eu-west-1"}, None),
        ({"AWS_ENDPOINT_URL": "", "AWS_REGION": ""}, "https://s3.us-east-1.amazonaws.com"),
        ({"AWS_ENDPOINT_URL_S3": "", "AWS_ENDPOINT_URL": "http://store:8333"}, "http://store:8333"),
        ({"AWS_ENDPOINT_URL_S3": "http://a:1", "AWS_ENDPOINT_URL": "http://b:2"}, "http://a:1"),
    ],
)
def test_an_empty_variable_names_no_server(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], endpoint: str | None
) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert open_objects("s3://b/data").config.get("endpoint") == endpoint


@pytest.mark.parametrize("first", [lambda root: S3Store(root).files(""), lambda root: find_files([root], Path(), [""])])
def test_with_an_empty_variable_versions_and_sources_are_found(
    s3_root: str, monkeypatch: pytest.MonkeyPatch, first: Callable[[str], object]
) -> None:
    S3Store(s3_root).create("a.jsonl", b'{"text": "x"}')
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "")
    assert first(s3_root)
    (found,) = find_files([f"{s3_root}/a.jsonl"], Path(), [".jsonl"])
    assert found.open().read() == b'{"text": "x"}'


def test_a_bucket_is_made_in_the_region_that_all_others_use(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    for name, value in {"AWS_REGION": "eu-central-1", "AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s"}.items():
        monkeypatch.setenv(name, value)
    with mock_aws():
        assert ensure_bucket("s3://far-away/data") and not ensure_bucket("s3://far-away/data")
        found = boto3.client("s3", region_name="us-east-1").get_bucket_location(Bucket="far-away")
        assert found["LocationConstraint"] == "eu-central-1"
