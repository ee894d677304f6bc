"""The files of docker/ without an engine: each is what its own tool takes, and hardened as it says."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from dagster._core.instance.config import dagster_instance_config
from dagster._core.instance.ref import InstanceRef
from dagster_docker import DockerRunLauncher
from dagster_docker.docker_run_launcher import DOCKER_CONTAINER_ID_TAG
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from synth_platform.ops import containers
from synth_platform_tests.deploy.compose import DOCKER, SETTINGS, image_environment, program, read_compose


def services() -> dict[str, dict[str, Any]]:
    return read_compose(SETTINGS)["services"]


def launcher(name: str) -> dict[str, Any]:
    return yaml.safe_load((DOCKER / "instance" / f"{name}.yaml").read_text("utf-8"))["run_launcher"]


def test_the_compose_file_follows_its_specification() -> None:
    compose_spec = pytest.importorskip("compose_spec")
    compose = compose_spec.PyCompose.from_json(json.dumps(read_compose(SETTINGS)))
    assert set(compose.service_names()) == set(services())


def test_what_must_be_set_is_asked_for_and_the_example_sets_it() -> None:
    with pytest.raises(KeyError, match="the address of the web interface"):
        read_compose({})
    example = dict(
        line.split("=", 1) for line in (DOCKER / ".env.example").read_text("utf-8").splitlines() if line[:1].isupper()
    )
    assert read_compose(example)["services"]["proxy"]["environment"]["SYNTH_UI_ADDRESS"] == "https://synth.localhost"


def test_every_service_is_hardened() -> None:
    for name, service in services().items():
        assert service["read_only"] and service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["restart"] == ("no" if name == "prepare" else "unless-stopped"), name
        assert not service.get("privileged") and (name in ("proxy", "store") or "cap_add" not in service), name
        assert "healthcheck" in service or name == "prepare", name
        assert "environment" not in service or not [
            key for key in service["environment"] if key.endswith(("PASSWORD", "_KEY", "_KEY_ID"))
        ], name


def test_only_the_proxy_is_published_and_only_to_this_machine_unless_asked() -> None:
    published = {name: service["ports"] for name, service in services().items() if "ports" in service}
    assert published == {"proxy": ["127.0.0.1:80:80", "127.0.0.1:443:443"]}


def test_the_docker_socket_has_one_door() -> None:
    with_socket = [name for name, service in services().items() if "docker.sock" in str(service.get("volumes"))]
    with_door = [name for name, service in services().items() if "docker" in (service.get("networks") or [])]
    assert with_socket == ["docker"] and set(with_door) == {"docker", "webserver", "daemon"}


def test_images_are_pinned() -> None:
    built = [service["image"] for service in services().values() if "build" in service]
    pulled = [service["image"] for service in services().values() if "build" not in service]
    dockerfile = (DOCKER / "Dockerfile").read_text("utf-8")
    stages = re.findall(r"^FROM (\S+) AS (\S+)$", dockerfile, re.MULTILINE)
    bases = [base for base, _ in stages if base not in {name for _, name in stages}]
    for image in [*pulled, *bases]:
        assert re.search(r":v?\d+\.\d+", image), image
    assert all(image.endswith(":local") for image in built)
    targets = {service["build"]["target"] for service in services().values() if "build" in service}
    assert targets < {stage for _, stage in stages}


def _pinned(name: str) -> dict[str, str]:
    """Version by package of a file with constraints."""
    lines = [line for line in (DOCKER / name).read_text("utf-8").splitlines() if not line.startswith("#")]
    pins = [re.fullmatch(r"([a-z0-9-]+)==(\S+)", line) for line in lines]
    assert None not in pins, [line for line, pin in zip(lines, pins, strict=True) if pin is None]
    return {pin[1]: pin[2] for pin in pins if pin is not None}


def test_every_requirement_of_the_image_has_one_version() -> None:
    project = tomllib.loads((DOCKER.parent / "pyproject.toml").read_text("utf-8"))["project"]
    pinned = _pinned("constraints.txt")
    for line in [*project["dependencies"], *project["optional-dependencies"]["deploy"]]:
        asked = Requirement(line)
        assert asked.specifier.contains(pinned.get(canonicalize_name(asked.name), "none")), f"renew it for {line}"
    dockerfile = (DOCKER / "Dockerfile").read_text("utf-8")
    engine = f"-c constraints-vllm.txt vllm=={_pinned('constraints-vllm.txt')['vllm']}\n"
    assert '-c constraints.txt ".[deploy]"' in dockerfile and engine in dockerfile


def test_no_image_runs_as_root() -> None:
    stages = re.split(r"^FROM ", (DOCKER / "Dockerfile").read_text("utf-8"), flags=re.MULTILINE)[1:]
    for stage in stages:
        assert re.findall(r"^USER (\S+)$", stage, re.MULTILINE)[-1] == "10001", stage.splitlines()[0]
    for name, service in services().items():
        assert "build" in service or service["user"].split(":")[0] not in ("", "0", "root"), name


def test_the_dockerfile_is_clean() -> None:
    done = subprocess.run(
        [program("hadolint"), str(DOCKER / "Dockerfile")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("index", ["", "https://packages.test/cpu"])
def test_the_engine_for_cpus_is_installed_with_pytorchs_index_or_not_at_all(tmp_path: Path, index: str) -> None:
    stage = (DOCKER / "Dockerfile").read_text("utf-8").split(" AS engine-cpu\n")[1].split("\nFROM ")[0]
    (argument,) = services()["vllm-cpu"]["build"]["args"]
    assert f"ARG {argument}" in stage
    given = read_compose({**SETTINGS, "SYNTH_PYTORCH_CPU_INDEX": index})["services"]["vllm-cpu"]["build"]["args"]
    (command,) = [step for step in stage.replace("\\\n", " ").splitlines() if "synth engine install" in step]
    (tmp_path / "synth").write_text('#!/bin/sh\necho "$PIP_EXTRA_INDEX_URL"\n')
    (tmp_path / "synth").chmod(0o755)
    done = subprocess.run(
        ["sh", "-c", command.removeprefix("RUN ")],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin", **given},
        capture_output=True,
        text=True,
        check=False,
    )
    if index:
        assert (done.returncode, done.stdout) == (0, f"{index}\n")
    else:
        assert done.returncode == 1 and not done.stdout and "SYNTH_PYTORCH_CPU_INDEX" in done.stderr


@pytest.mark.parametrize("name", ["new-secrets", "add-user", "backup", "restore", "entrypoint"])
def test_scripts_parse(name: str) -> None:
    assert (DOCKER / name).stat().st_mode & 0o111
    done = subprocess.run(["sh", "-n", str(DOCKER / name)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("scheme", ["https", "http"])
def test_the_proxy_takes_its_file_and_is_of_the_images_version(tmp_path: Path, scheme: str) -> None:
    caddy = program("caddy")
    version = subprocess.run([caddy, "version"], capture_output=True, text=True, check=True).stdout.lstrip("v")
    assert f"FROM caddy:{'.'.join(version.split('.')[:2])}." in (DOCKER / "Dockerfile").read_text("utf-8")
    users = tmp_path / "users"
    users.write_text("alice $2a$14$Zkx19XLiW6VYouLHR5NmfOFU0z2GTNmpkT/5qqR7hx4IjWJPDhjvG\n")
    given = {str(name): str(value) for name, value in services()["proxy"]["environment"].items()}
    given |= {"SYNTH_UI_USERS": str(users), "SYNTH_VIEW_USERS": str(users)}
    given |= {name: given[name].replace("https", scheme) for name in ("SYNTH_UI_ADDRESS", "SYNTH_VIEW_ADDRESS")}
    checked = subprocess.run(
        [caddy, "validate", "--config", str(DOCKER / "Caddyfile"), "--adapter", "caddyfile"],
        capture_output=True,
        text=True,
        check=False,
        env={"HOME": str(tmp_path), "PATH": "/bin", **given},
    )
    assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize("name", ["docker", "ecs", "process"])
def test_each_launcher_makes_a_whole_instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    for variable in ("HOST", "DB", "USER", "PASSWORD"):
        monkeypatch.setenv(f"DAGSTER_POSTGRES_{variable}", "x")
    monkeypatch.setenv("DAGSTER_POSTGRES_PORT", "5432")
    parts = [(DOCKER / "instance" / part).read_text("utf-8") for part in ("common.yaml", f"{name}.yaml")]
    (tmp_path / "dagster.yaml").write_text("".join(parts), "utf-8")
    settings, _ = dagster_instance_config(str(tmp_path))
    assert settings["run_launcher"]["class"] == launcher(name)["class"]
    assert InstanceRef.from_dir(str(tmp_path)).run_launcher_data is not None


def test_a_runs_container_gets_what_its_launcher_has() -> None:
    """The launcher reads each variable from its own process: one that is missing there stops every run."""
    config = launcher("docker")["config"]
    assert DockerRunLauncher(**config).networks == [read_compose(SETTINGS)["networks"]["platform"]["name"]]
    for service in ("daemon", "code"):
        has = {name.removesuffix("_FILE") for name in services()[service]["environment"]}
        assert set(config["env_vars"]) <= has
    volumes = {volume["name"] for volume in read_compose(SETTINGS)["volumes"].values() if volume.get("name")}
    assert {volume.split(":")[0] for volume in config["container_kwargs"]["volumes"]} == volumes


def test_releases_are_published_to_a_folder_of_the_host_by_runs_and_by_commands() -> None:
    compose = read_compose(SETTINGS)
    volume = compose["volumes"]["published"]
    assert volume["driver_opts"]["device"] == SETTINGS["SYNTH_PUBLISH"]
    mounts = {name: str(service.get("volumes")) for name, service in compose["services"].items()}
    assert [name for name, given in mounts.items() if "published:" in given] == ["code"], "others need not write there"
    assert "published:/published" in compose["services"]["code"]["volumes"]
    assert f"{volume['name']}:/published" in launcher("docker")["config"]["container_kwargs"]["volumes"]


def test_where_a_run_starts_vllm_it_has_room_and_may_run_what_it_compiles() -> None:
    given = launcher("docker")["config"]["container_kwargs"]
    assert given["tmpfs"] == {"/tmp": "mode=1777,exec"} and given["shm_size"] == services()["vllm"]["shm_size"]
    hub = image_environment()["HF_HOME"]
    assert hub.startswith("/synth/") and "synth_home:/synth" in given["volumes"]


def test_s3_itself_is_reached_in_its_region() -> None:
    example = (DOCKER / ".env.example").read_text("utf-8")
    block = example.split("# For S3 itself")[1].split("\n\n")[0]
    s3 = dict(line[1:].split("=", 1) for line in block.splitlines() if re.match(r"#[A-Z_]+=", line))
    assert set(s3) == {"AWS_ENDPOINT_URL", "AWS_REGION", "SYNTH_DATA", "SYNTH_LOG_BUCKET"}
    for service in ("daemon", "code", "prepare"):
        given = read_compose({**SETTINGS, **s3})["services"][service]["environment"]
        assert given["AWS_ENDPOINT_URL"] == "" and given["AWS_REGION"] == given["AWS_DEFAULT_REGION"] == "eu-central-1"
    assert {"AWS_REGION", "AWS_DEFAULT_REGION"} <= set(launcher("docker")["config"]["env_vars"])


def test_the_entrypoint_reads_secrets_from_files(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("it's $(no) secret\n")
    said = subprocess.run(
        [DOCKER / "entrypoint", "sh", "-c", 'printf "%s|%s" "$AWS_ACCESS_KEY_ID" "${AWS_ACCESS_KEY_ID_FILE-gone}"'],
        env={"PATH": "/usr/bin:/bin", "AWS_ACCESS_KEY_ID_FILE": str(tmp_path / "key")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout == "it's $(no) secret|gone"
    missing = subprocess.run(
        [DOCKER / "entrypoint", "true"],
        env={"PATH": "/usr/bin:/bin", "HF_TOKEN_FILE": str(tmp_path / "none")},
        capture_output=True,
        check=False,
    )
    assert missing.returncode != 0


def test_a_secret_that_says_none_is_empty_for_the_command() -> None:
    said = {"HF_TOKEN": "none", "VLLM_API_KEY": "none of it", "SYNTH_ALERT_URL": "", "SYNTH_MODEL": "none"}
    done = subprocess.run(
        [DOCKER / "entrypoint", "env"],
        env={"PATH": "/usr/bin:/bin", **said},
        capture_output=True,
        text=True,
        check=True,
    )
    assert {f"{name}={value}" for name, value in (said | {"HF_TOKEN": ""}).items()} <= set(done.stdout.splitlines())
    assert "SYNTH_SMTP_URL" not in done.stdout, "what was not there is not made"


def test_secrets_are_made_once(tmp_path: Path) -> None:
    shutil.copy(DOCKER / "new-secrets", tmp_path)
    subprocess.run([tmp_path / "new-secrets"], check=True)
    made = {path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()}
    assert set(made) == set(read_compose(SETTINGS)["secrets"])
    assert len({made[name] for name in made if not name.endswith("ers")}) == 4
    assert all(re.fullmatch(r"[0-9a-f]{48}", text) for name, text in made.items() if not name.endswith("ers"))
    subprocess.run([tmp_path / "new-secrets"], check=True)
    assert {path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()} == made


@pytest.fixture
def add_user(tmp_path: Path) -> tuple[list[str], dict[str, str]]:
    """The script beside a file of users, and variables with which `docker` is this machine's Caddy."""
    shutil.copy(DOCKER / "add-user", tmp_path)
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "users").write_text("alice $2a$old\nbob $2a$his\n")
    (tmp_path / "docker").write_text(
        '#!/bin/sh\n[ "$1 $2 $3" = "run --rm -i" ] || exit 1\nshift 5\nexec "$CADDY" "$@"\n'
    )
    (tmp_path / "docker").chmod(0o755)
    variables = {"PATH": f"{tmp_path}:/usr/bin:/bin", "CADDY": program("caddy"), "HOME": str(tmp_path)}
    return [str(tmp_path / "add-user"), "users", "alice"], variables


def test_a_user_is_asked_for_his_password_and_it_is_not_shown(
    tmp_path: Path, add_user: tuple[list[str], dict[str, str]]
) -> None:
    command, variables = add_user
    ours, terminal = os.openpty()
    process = subprocess.Popen(command, env=variables, stdin=terminal, stdout=terminal, stderr=terminal)
    os.close(terminal)
    seen = b""
    for question in (b"password for alice: ", b"once more: "):
        while not seen.endswith(question):
            seen += os.read(ours, 1000)
        os.write(ours, b"opens sesame\n")
    assert process.wait(60) == 0
    seen += os.read(ours, 1000)
    os.close(ours)
    assert b"sesame" not in seen and b"added" in seen
    bob, alice = (tmp_path / "secrets" / "users").read_text().splitlines()
    assert bob == "bob $2a$his" and re.fullmatch(r"alice \$2a\$14\$\S{53}", alice)


def test_a_password_that_was_mistyped_changes_nothing(
    tmp_path: Path, add_user: tuple[list[str], dict[str, str]]
) -> None:
    command, variables = add_user
    for typed in ("one\ntwo\n", "one\n", "\n\n", ""):
        done = subprocess.run(command, env=variables, input=typed, capture_output=True, text=True, check=False)
        assert done.returncode == 1 and "not the same twice" in done.stderr, typed
    assert (tmp_path / "secrets" / "users").read_text() == "alice $2a$old\nbob $2a$his\n"


def test_a_name_is_taken_literally(tmp_path: Path, add_user: tuple[list[str], dict[str, str]]) -> None:
    (script, kind, _), variables = add_user
    users = tmp_path / "secrets" / "users"
    others = ["alice-b $2a$hers", "1 $2a$one", "alice.b@example.org $2a$other"]
    for name in ("alice.b", "1.0"):
        users.write_text("\n".join([*others, f"{name} $2a$old"]) + "\n")
        subprocess.run([script, kind, name], env=variables, input="sesame\n" * 2, text=True, check=True)
        *left, added = users.read_text().splitlines()
        assert left == others and re.fullmatch(rf"{re.escape(name)} \$2a\$14\$\S{{53}}", added)


@pytest.mark.parametrize("name", ["", ".*", "al ice", "alice\nmallory $2a$x", "al\\ice", "älice", "alice/b"])
def test_a_name_that_is_none_is_refused(tmp_path: Path, add_user: tuple[list[str], dict[str, str]], name: str) -> None:
    (script, kind, _), variables = add_user
    done = subprocess.run(
        [script, kind, name], env=variables, input="sesame\n" * 2, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2 and "letters from A to Z, digits and . _ @ -" in done.stderr
    assert "password" not in done.stderr
    assert (tmp_path / "secrets" / "users").read_text() == "alice $2a$old\nbob $2a$his\n"


def test_a_run_of_a_command_names_its_container_unless_a_service_lives_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The launcher looks for it, and ends it with the run."""
    monkeypatch.delenv("ECS_CONTAINER_METADATA_URI_V4", raising=False)
    monkeypatch.setattr(containers, "_DOCKER", tmp_path / "mark")
    monkeypatch.setattr(containers, "began_this_container", lambda: True)
    assert containers.container_tags() == {}
    (tmp_path / "mark").touch()
    assert containers.container_tags() == {DOCKER_CONTAINER_ID_TAG: socket.gethostname()}
    monkeypatch.setattr(containers, "began_this_container", lambda: False)
    assert containers.container_tags() == {}


def test_a_process_that_was_brought_into_a_container_is_not_of_it() -> None:
    asked = [sys.executable, "-c", "from synth_platform.processes import began_this_container as b; print(b())"]
    alone = ["unshare", "--pid", "--fork", "--mount-proc"]
    if subprocess.run([*alone, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no namespaces for processes on this machine")
    assert subprocess.run([*alone, *asked], capture_output=True, text=True, check=True).stdout == "True\n"
    container = subprocess.Popen([*alone, "--kill-child", "sh", "-c", "echo; exec sleep 60"], stdout=subprocess.PIPE)
    try:
        assert container.stdout is not None and container.stdout.readline()
        (first,) = Path(f"/proc/{container.pid}/task/{container.pid}/children").read_text().split()
        enter = ["nsenter", "--target", first, "--pid", "--mount"]
        assert subprocess.run([*enter, *asked], capture_output=True, text=True, check=True).stdout == "False\n"
    finally:
        container.kill()
        container.communicate()
