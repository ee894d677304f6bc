"""Ctrl+C in a terminal, which all processes of a command hear, and a signal to the command alone; one interface."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest

from synth_platform.ops.instance import open_instance
from synth_platform.ops.interface import only_interface
from synth_platform.workspace import Workspace
from synth_platform_tests.conftest import free_port
from synth_platform_tests.deploy.deployment import wait_for
from synth_platform_tests.pipeline import dataset, mock_engine, perfect_answers, synth, write_spec

STOPPED = "stopped; the same command goes on where it was"


class InTerminal:
    """A command that leads a process group, as a shell starts it, and whatever it and its processes say."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self._log = folder / "said.txt"
        command = [sys.executable, "-c", "from synth_platform.cli import main; main()", *arguments]
        variables = {**os.environ, "SYNTH_HOME": str(folder / "home")}
        with self._log.open("w") as output:
            self.process = subprocess.Popen(
                command, stdout=output, stderr=output, env=variables, start_new_session=True
            )

    @property
    def said(self) -> str:
        return self._log.read_text("utf-8")

    def interrupt(self, send: Callable[[int, int], None] = os.killpg) -> int:
        """Its exit code after Ctrl+C."""
        send(self.process.pid, signal.SIGINT)
        return self.process.wait(60)


@pytest.mark.parametrize("send", [os.killpg, os.kill], ids=["group", "alone"])
def test_a_run_that_is_interrupted_says_that_it_goes_on(
    send: Callable[[int, int], None], tmp_path: Path, tokenizer_folder: Path
) -> None:
    home, recipe = tmp_path / "home", {"name": "faq", "sampling": {"max_tokens": 400}}
    with mock_engine(tmp_path, perfect_answers(24, planted=2), latency=0.3) as engine:
        attributes = dataset(engine.url, tokenizer_folder, recipes=[recipe])
        attributes["engine"]["concurrency"] = 4
        write_spec(home / "datasets" / "small", attributes)
        run = InTerminal(tmp_path, "materialize", "small")
        wait_for(lambda: len(engine.requests()) > 8, 120, "nothing is generated")
        assert run.interrupt(send) == 130
        assert run.said.strip().endswith(STOPPED)
        assert not any(word in run.said for word in ("Traceback", "NOT RELEASED", "problem", "Interrupt"))

        with open_instance(Workspace(home)) as instance:
            (ended,) = instance.get_runs()
            assert ended.status == dg.DagsterRunStatus.FAILURE
            assert not instance.event_log_storage.get_concurrency_info("gpu").active_run_ids
        looked = synth("doctor", home=home)
        assert looked.returncode == 0 and "was stopped" in looked.out and "goes on where it was" in looked.out
        again = synth("materialize", "small", home=home)
        assert again.returncode == 0, again.err
        assert len(set(engine.requests())) == 24 and len(engine.requests()) <= 24 + 4


@pytest.mark.parametrize("said", ["Dagster on", "Launching Dagster services"])
def test_an_interface_that_is_interrupted_while_it_starts_ends_without_a_traceback(said: str, tmp_path: Path) -> None:
    interface = InTerminal(tmp_path, "ui", "--port", str(free_port()))
    wait_for(lambda: said in interface.said, 120, "it does not start")
    time.sleep(1.0)  # some of its processes load their code by now
    assert interface.interrupt() == 0
    assert "Traceback" not in interface.said, interface.said


def test_a_port_that_cannot_be_had_is_refused_before_anything_starts(tmp_path: Path) -> None:
    home, port = tmp_path / "home", free_port()
    out_of_range = synth("ui", "--port", "99999", home=home)
    assert out_of_range.returncode == 2 and "65535" in out_of_range.err
    with socket.create_server(("127.0.0.1", port)):
        busy = synth("ui", "--port", str(port), home=home)
    assert busy.returncode == 2 and f"port {port} cannot be used" in busy.err and "--port" in busy.err
    assert not busy.out and not (home / "dagster").exists()


def test_a_home_has_one_interface(tmp_path: Path) -> None:
    home, port = tmp_path / "home", free_port()
    with only_interface(Workspace(home), port):
        second = synth("ui", "--port", str(free_port()), home=home)
        assert second.returncode == 2 and not second.out
        assert f"runs already, at http://127.0.0.1:{port}" in second.err
    with only_interface(Workspace(home), port):
        pass  # one that has ended is in nobody's way
