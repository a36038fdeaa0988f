"""A host from start to stop, as its operator sees it: its log, runs in flight when it stops, what it leaves behind."""

import json
import signal
import socket
import threading
import time
from pathlib import Path

import httpx

from tests.service.operator import START_SECONDS, Operator, define

SLEEPER = "import time\ndef run(seconds: float):\n    time.sleep(seconds)\n    return seconds\n"


def test_the_log_has_a_line_a_request_and_a_run_and_nothing_of_a_tenant(tmp_path: Path) -> None:
    operator = Operator(tmp_path / "data")
    with operator.up() as host:
        token = operator.types("token").stdout.strip()
        define(host, token, "echo", "def run(word: str):\n    print(word)\n    return word\n")
        answer = httpx.get(
            f"{host.url}/agents/00000000-0000-4000-8000-00000000da7a/echo?word=sekret",
            headers={"Authorization": f"Bearer {token}", "X-Request-Id": "mine"},
            timeout=30,
        )
        assert answer.json()["output"] == "sekret"
        httpx.get(f"{host.url}/sekret?sekret=sekret", timeout=30)
    assert host.process.returncode == 0
    lines = [json.loads(line) for line in host.log]
    (request,) = [line for line in lines if line.get("request_id") == "mine" and line["event"] == "request"]
    assert request["path"].endswith("/echo")
    assert (request["status"], request["method"]) == (200, "GET")
    (run,) = [line for line in lines if line["event"] == "run"]
    assert (run["run_id"], run["agent_name"], run["status"]) == (answer.json()["run_id"], "echo", "succeeded")
    assert "sekret" not in "".join(host.log)
    assert token not in "".join(host.log)


def test_a_stop_lets_runs_finish_and_cancels_those_that_do_not(tmp_path: Path) -> None:
    operator = Operator(tmp_path / "data", settings={"AGENTHOST_LIMIT_SHUTDOWN_SECONDS": "3"})
    answers: dict[str, httpx.Response | None] = {}
    with operator.up() as host:
        token = operator.types("token").stdout.strip()
        define(host, token, "sleeper", SLEEPER)

        def run(seconds: str) -> None:
            try:
                answers[seconds] = httpx.get(
                    f"{host.url}/agents/00000000-0000-4000-8000-00000000da7a/sleeper?seconds={seconds}",
                    headers={"Authorization": f"Bearer {token}"},
                    timeout=60,
                )
            except httpx.TransportError:
                answers[seconds] = None

        threads = [threading.Thread(target=run, args=(seconds,)) for seconds in ("2", "25")]
        for thread in threads:
            thread.start()
        time.sleep(1)
        started = time.monotonic()
        host.process.send_signal(signal.SIGTERM)
        for thread in threads:
            thread.join(START_SECONDS)
        assert host.process.wait(START_SECONDS) == 0
        assert time.monotonic() - started < 20
    finished = answers["2"]
    assert finished is not None
    assert (finished.status_code, finished.json()["output"]) == (200, 2.0)
    with operator.up():
        states = {run["status"] for run in json.loads(operator.types("runs", "-o", "json").stdout)["data"]}
    assert states == {"succeeded", "cancelled"}


def test_ctrl_c_ends_it_cleanly_and_leaves_no_process(tmp_path: Path) -> None:
    operator = Operator(tmp_path / "data")
    with operator.up() as host:
        children = _children(host.process.pid)
        assert len(children) >= 2
        host.process.send_signal(signal.SIGINT)
        assert host.process.wait(START_SECONDS) == 0
        assert not [pid for pid in children if Path(f"/proc/{pid}").exists()]
        with socket.socket() as free:
            free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            free.bind(("127.0.0.1", operator.port))


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
