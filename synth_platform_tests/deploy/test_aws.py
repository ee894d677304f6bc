"""docker/aws/: the template is valid, and a run's tag chooses whether it becomes a task with or without a GPU."""

import json
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import boto3
import dagster as dg
import pytest
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.instance.config import dagster_instance_config
from dagster._core.launcher.base import LaunchRunContext, WorkerStatus
from dagster._core.origin import JobPythonOrigin, RepositoryPythonOrigin
from dagster_aws.ecs import EcsRunLauncher
from moto import mock_aws

from synth_platform.dataset.jobs import screen_job_name
from synth_platform.dataset.spec import load_spec
from synth_platform.ops.launch import run_dataset
from synth_platform.workspace import Workspace
from synth_platform_tests.deploy.compose import DOCKER
from synth_platform_tests.pipeline import dataset, write_spec

TEMPLATE = DOCKER / "aws" / "stack.yaml"
IMAGE = "registry.test/synth:1"


def read_template() -> dict[str, Any]:
    """The template with its short forms and aliases written out."""
    from cfnlint.decode import cfn_yaml

    return json.loads(json.dumps(cfn_yaml.load(str(TEMPLATE))))


def containers(task: str) -> list[dict[str, Any]]:
    """Containers of one of the template's task definitions."""
    return read_template()["Resources"][task]["Properties"]["ContainerDefinitions"]


def test_the_template_is_valid() -> None:
    lint = shutil.which("cfn-lint", path=str(Path(sys.executable).parent)) or "cfn-lint"
    done = subprocess.run([lint, str(TEMPLATE)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_role_may_do_everything() -> None:
    resources = read_template()["Resources"]
    roles = {name: r["Properties"] for name, r in resources.items() if r["Type"] == "AWS::IAM::Role"}
    assert {"ExecutionRole", "WebRole", "DaemonRole", "CodeRole", "RunRole"} <= set(roles)
    for name, role in roles.items():
        for policy in role.get("Policies", []):
            for statement in policy["PolicyDocument"]["Statement"]:
                actions = statement["Action"]
                actions = [actions] if isinstance(actions, str) else actions
                assert not [action for action in actions if action.endswith("*")], (name, actions)
                if statement["Resource"] == "*":  # actions that have no resource to be bound to
                    assert set(actions) <= {"ecs:DescribeTaskDefinition", "ec2:DescribeNetworkInterfaces"}, name
    launching = [name for name, role in roles.items() if "ecs:RunTask" in json.dumps(role)]
    assert launching == ["DaemonRole"]
    assert "ecs:" not in json.dumps(roles["RunRole"]) and "s3:PutObject" not in json.dumps(roles["WebRole"])


def allowed(resource: str, action: str) -> list[str]:
    """What a role or policy of the template may do this with."""
    properties = read_template()["Resources"][resource]["Properties"]
    policies = properties.get("Policies") or [properties]
    statements = [statement for policy in policies for statement in policy["PolicyDocument"]["Statement"]]
    return [json.dumps(s["Resource"]) for s in statements if action in [s["Action"], *s["Action"]]]


def test_the_code_location_may_do_what_its_sensors_do() -> None:
    """They look at sources, call the hub and engines, and keep what they print, as backfills in the daemon do."""
    sources = read_template()["Resources"]["ReadSources"]["Properties"]
    assert sources["Roles"] == [
        {"Ref": "RunRole"},
        {"Ref": "CodeRole"},
    ]
    for action in ("s3:GetObject", "s3:ListBucket"):
        assert allowed("ReadSources", action) == ['{"Ref": "SourceArns"}']
    (code,), (run,) = containers("CodeTask"), containers("RunCpuTask")
    assert {secret["Name"] for secret in run["Secrets"]} <= {secret["Name"] for secret in code["Secrets"]}
    for role in ("CodeRole", "DaemonRole", "RunRole"):
        assert any("/compute-logs/*" in resource for resource in allowed(role, "s3:PutObject")), role
    assert allowed("DaemonRole", "logs:GetLogEvents") == ['{"Fn::GetAtt": ["Logs", "Arn"]}']


def test_runs_publish_to_the_buckets_that_the_stack_names() -> None:
    """To bring a release there, read it back, look who publishes there, and withdraw what is taken down."""
    policy = read_template()["Resources"]["PublishReleases"]
    assert policy["Condition"] == "Publishes" and policy["Properties"]["Roles"] == [{"Ref": "RunRole"}]
    for action in ("s3:PutObject", "s3:GetObject", "s3:ListBucket", "s3:DeleteObject"):
        assert allowed("PublishReleases", action) == ['{"Ref": "PublishArns"}']


def test_a_new_task_definition_for_runs_brings_a_new_daemon() -> None:
    """The launcher names a revision, and asks only once which: ECS refuses it after an update."""
    (daemon,) = [c for c in containers("DaemonTask") if c["Name"] == "daemon"]
    assert {"Ref": "RunCpuTask"} in daemon["DockerLabels"].values()


def test_runs_that_wait_for_an_instance_are_not_given_up_and_no_more_are_launched_than_have_one(tmp_path: Path) -> None:
    (daemon,) = [c for c in containers("DaemonTask") if c["Name"] == "daemon"]
    assert {"Name": "SYNTH_MAX_GPU_RUNS", "Value": {"Ref": "MaxGpuRuns"}} in daemon["Environment"]
    image = tmp_path / "image"
    image.mkdir()
    parts = [(DOCKER / "instance" / name).read_text("utf-8") for name in ("common.yaml", "ecs.yaml")]
    (image / "dagster.yaml").write_text("".join(parts), "utf-8")
    shell, option, command = daemon["Command"]
    until_the_code_is_there = command.replace("/tmp/home", str(tmp_path / "home")).split("until ")[0]
    subprocess.run(
        [shell, option, f"{until_the_code_is_there} test $DAGSTER_HOME = {tmp_path / 'home'}"],
        env={"PATH": "/usr/bin:/bin", "DAGSTER_HOME": str(image), "SYNTH_MAX_GPU_RUNS": "7"},
        check=True,
    )
    settings, _ = dagster_instance_config(str(tmp_path / "home"))
    limits = {limit["key"]: limit["limit"] for limit in settings["concurrency"]["runs"]["tag_concurrency_limits"]}
    assert limits == {"synth/dataset": 1, "dagster/backfill": 4, "ecs/run_task_kwargs": 7}
    assert settings["run_monitoring"]["start_timeout_seconds"] >= 3600


def test_secrets_are_named_and_never_written() -> None:
    for name, resource in read_template()["Resources"].items():
        for container in resource.get("Properties", {}).get("ContainerDefinitions", []):
            given = {entry["Name"] for entry in container.get("Environment", [])}
            assert not [n for n in given if "PASSWORD" in n or "TOKEN" in n or "KEY" in n or n == "USERS"], name
            assert container["ReadonlyRootFilesystem"], name


def test_whoever_has_no_token_may_write_none() -> None:
    """In the secret that people make; the database's password is made by the stack."""
    resources = [one for one in read_template()["Resources"].values() if one["Type"] == "AWS::ECS::TaskDefinition"]
    tasks = [container for one in resources for container in one["Properties"]["ContainerDefinitions"]]
    secrets = [secret for task in tasks if task["Image"] != {"Ref": "ProxyImage"} for secret in task["Secrets"]]
    tokens = {secret["Name"] for secret in secrets if "TokensSecretArn" in json.dumps(secret["ValueFrom"])}
    assert {"HF_TOKEN", "VLLM_API_KEY", "SYNTH_ALERT_URL", "SYNTH_SMTP_URL"} <= tokens
    said = subprocess.run(
        [DOCKER / "entrypoint", "env"],
        env={"PATH": "/usr/bin:/bin", **dict.fromkeys(tokens, "none")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert {f"{name}=" for name in tokens} <= set(said.stdout.splitlines())


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """The template's cluster, roles and task definitions for runs in an AWS of this process; outputs of the stack."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": "k",
        "AWS_SECRET_ACCESS_KEY": "s",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    with mock_aws():
        ec2 = boto3.client("ec2")
        network = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
        template = read_template()
        kept = ["Bucket", "Cluster", "Logs", "DatabaseSecret", "ExecutionRole", "RunRole", "WorkGroup"]
        kept += ["RunCpuTask", "RunGpuTask"]
        template["Resources"] = {name: template["Resources"][name] for name in kept}
        template["Outputs"] = {
            "GpuRuns": template["Outputs"]["GpuRuns"],
            "Network": template["Outputs"]["Network"],
            "WorkGroup": {"Value": {"Ref": "WorkGroup"}},
        }
        del template["Parameters"]["GpuAmi"]
        text = json.dumps(template)
        for attribute in ("Endpoint.Address", "Endpoint.Port"):
            text = text.replace(json.dumps({"Fn::GetAtt": ["Database", attribute]}), '"database"')
        parameters = dict.fromkeys(template["Parameters"], "x")
        parameters |= {"VpcId": network, "PlatformImage": IMAGE, "PlatformGpuImage": "registry.test/synth-gpu:1"}
        parameters |= {
            "GpusPerRun": "2",
            "GpuRunMemory": "4096",
            "MaxGpuInstances": "2",
            "PublicSubnets": "a,b",
            "PrivateSubnets": ",".join(private_subnets()),
            "MaxGpuRuns": "2",
        }
        cloudformation = boto3.client("cloudformation")
        cloudformation.create_stack(
            StackName="synth",
            TemplateBody=text,
            Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()],
            Capabilities=["CAPABILITY_IAM"],
        )
        (stack,) = cloudformation.describe_stacks(StackName="synth")["Stacks"]
        yield {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}


def private_subnets() -> list[str]:
    """Two of the subnets that the AWS of this process has."""
    return sorted(subnet["SubnetId"] for subnet in boto3.client("ec2").describe_subnets()["Subnets"])[:2]


@pytest.fixture
def in_a_task(cluster: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This process is a task of the cluster, as the daemon is: ECS tells it which."""
    ecs = boto3.client("ecs")
    subnet = private_subnets()[0]
    (task,) = ecs.run_task(
        cluster="synth",
        taskDefinition="synth-run-cpu",
        launchType="FARGATE",
        networkConfiguration={"awsvpcConfiguration": {"subnets": [subnet], "securityGroups": [cluster["WorkGroup"]]}},
    )["tasks"]
    answer = json.dumps({"Cluster": task["clusterArn"], "TaskARN": task["taskArn"]}).encode()

    class Metadata(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response_only(200)
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Metadata)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    monkeypatch.setenv("ECS_CONTAINER_METADATA_URI_V4", f"http://127.0.0.1:{server.server_address[1]}")
    monkeypatch.setenv("SYNTH_RUN_TASK_DEFINITION", "synth-run-cpu")
    yield
    server.shutdown()
    server.server_close()


def launch(folder: Path, tags: dict[str, str]) -> dict[str, Any]:
    """Launch a run with these tags by the launcher of docker/instance/ecs.yaml; the task that ECS made."""
    folder.mkdir(exist_ok=True)
    shutil.copy(DOCKER / "instance" / "ecs.yaml", folder / "dagster.yaml")

    @dg.job
    def small() -> None:
        pass

    code = ModuleCodePointer("synth_platform.definitions", "defs")
    repository = RepositoryPythonOrigin(
        executable_path="python",
        code_pointer=code,
        container_image=IMAGE,
        entry_point=["dagster"],
        container_context={},
    )
    with dg.DagsterInstance.from_config(str(folder)) as instance:
        run = instance.create_run_for_job(small, tags=tags, job_code_origin=JobPythonOrigin("small", repository))
        instance.run_launcher.launch_run(LaunchRunContext(dagster_run=run, workspace=None))
        now = instance.get_run_by_id(run.run_id)
        assert now is not None
        arn = now.tags["ecs/task_arn"]
    return boto3.client("ecs").describe_tasks(cluster="synth", tasks=[arn])["tasks"][0]


def test_a_runs_tag_chooses_its_task_definition_and_where_it_may_be_placed(
    cluster: dict[str, str], in_a_task: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, Any]] = []
    run_task = EcsRunLauncher._run_task
    monkeypatch.setattr(
        EcsRunLauncher, "_run_task", lambda self, **given: asked.append(given) or run_task(self, **given)
    )
    gpu_tag = json.loads(cluster["GpuRuns"])
    assert gpu_tag.pop("capacityProviderStrategy") == [{"capacityProvider": "synth-gpu", "weight": 1}]

    plain = launch(tmp_path / "home", {})
    assert "/synth-run-cpu:" in plain["taskDefinitionArn"]
    (override,) = plain["overrides"]["containerOverrides"]
    assert override["name"] == "run" and override["command"][:3] == ["dagster", "api", "execute_run"]

    # The stand-in for ECS has no instances with GPUs, so the GPU's task definition is asked for on Fargate.
    on_gpu = launch(tmp_path / "home", {"ecs/run_task_kwargs": json.dumps(gpu_tag)})
    described = boto3.client("ecs").describe_task_definition(taskDefinition=on_gpu["taskDefinitionArn"])
    (container,) = described["taskDefinition"]["containerDefinitions"]
    assert container["image"] == "registry.test/synth-gpu:1"
    assert container["resourceRequirements"] == [{"type": "GPU", "value": "2"}]

    # The launcher by itself names the subnet of its own task alone.
    assert asked[-1]["networkConfiguration"]["awsvpcConfiguration"] == {
        "subnets": private_subnets(),
        "securityGroups": [cluster["WorkGroup"]],
        "assignPublicIp": "DISABLED",
    }


def test_a_command_of_synth_is_a_task_as_the_readme_says(cluster: dict[str, str]) -> None:
    section = (DOCKER / "aws" / "README.md").read_text("utf-8").split("## Commands of `synth`")[1]
    (overrides,) = re.findall(r"--overrides '(\{.+?\})'", section, re.DOTALL)
    (task,) = boto3.client("ecs").run_task(
        cluster="synth",
        taskDefinition="synth-run-cpu",
        launchType="FARGATE",
        networkConfiguration=json.loads(cluster["Network"]),
        overrides=json.loads(overrides),
    )["tasks"]
    (override,) = task["overrides"]["containerOverrides"]
    assert override["name"] == containers("RunCpuTask")[0]["Name"] and override["command"][:2] == ["synth", "takedown"]


def test_a_run_of_a_command_lives_as_long_as_its_task(in_a_task: None, workspace: Workspace, tmp_path: Path) -> None:
    """Run monitoring asks the launcher, which knows only the tasks that it started itself, or that the run names."""
    shutil.copy(DOCKER / "instance" / "ecs.yaml", tmp_path / "dagster.yaml")
    spec = load_spec(write_spec(tmp_path / "spec", dataset("http://127.0.0.1:9/v1", tmp_path)))
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        run_dataset(spec, tmp_path / "spec", workspace, instance, job=screen_job_name(spec.name))
        (run,) = instance.get_runs()
        assert instance.run_launcher.check_run_worker_health(run).status == WorkerStatus.RUNNING
        boto3.client("ecs").stop_task(cluster="synth", task=run.tags["ecs/task_arn"])
        assert instance.run_launcher.check_run_worker_health(run).status != WorkerStatus.RUNNING
