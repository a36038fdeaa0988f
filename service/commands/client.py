"""A client of a running host, and the commands run, runs and logs, which only ask it."""

import base64
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import typer

from service.commands.console import (
    Exit,
    Output,
    fail,
    fail_with_problem,
    print_json,
    print_table,
    printable,
    say,
    started_as,
)

if TYPE_CHECKING:
    import httpx

EVENTS: Final = "text/event-stream"
LAST_EVENTS: Final = ("run.completed", "run.failed", "generation.done", "generation.failed")
Told = Callable[[str, dict[str, Any]], None]


@dataclass(frozen=True, slots=True)
class Connection:
    """A host, and the token of the user who asks it; `signed_in` is the data directory whose key has signed it."""

    url: str
    token: str
    seconds: float
    signed_in: Path | None = None

    def get(self, path: str, params: Sequence[tuple[str, str]] = ()) -> tuple[int, dict[str, Any]]:
        return self.ask("GET", path, params)

    def ask(
        self,
        method: str,
        path: str,
        params: Sequence[tuple[str, str]] = (),
        body: Any = None,
        *,
        if_match: str | None = None,
    ) -> tuple[int, dict[str, Any]]:
        """Status and document of an answer, {} of one without; ends the command when the host cannot be reached."""
        with self._answer(method, path, params, body, if_match=if_match) as answer:
            return answer.status_code, self._document(answer.read()) if answer.status_code != 204 else {}

    def watch(
        self, method: str, path: str, told: Told, *, params: Sequence[tuple[str, str]] = (), body: Any = None, hint: str
    ) -> tuple[int, dict[str, Any]]:
        """What `ask` gives; `told` is called with the name and data of every event until then."""
        with self._answer(method, path, params, body, accept=EVENTS) as answer:
            if not answer.headers.get("content-type", "").startswith(EVENTS):
                return answer.status_code, self._document(answer.read())
            last = self._last(answer.iter_lines(), told)
        if last is None:
            fail("The host broke off.", hint=hint)
        return last

    def _last(self, lines: Iterator[str], told: Told) -> tuple[int, dict[str, Any]] | None:
        name = ""
        for line in lines:
            field, _, value = line.partition(": ")
            if field == "event":
                name = value
            elif field == "data":
                data = self._document(value)
                if name in LAST_EVENTS:
                    return data["status"] if name.endswith(".failed") else 200, data
                told(name, data)
        return None

    @contextmanager
    def _answer(
        self,
        method: str,
        path: str,
        params: Sequence[tuple[str, str]],
        body: Any = None,
        accept: str = "application/json",
        if_match: str | None = None,
    ) -> Iterator["httpx.Response"]:
        import httpx  # slow to import, and most commands do without

        headers = {"Authorization": f"Bearer {self.token}", "Accept": accept}
        try:
            with httpx.stream(
                method,
                self.url.rstrip("/") + path,
                params=list(params),
                json=body,
                headers=headers if if_match is None else {**headers, "If-Match": if_match},
                timeout=httpx.Timeout(10.0, read=self.seconds),
            ) as answer:
                yield answer
        except httpx.InvalidURL:
            fail(f"{self.url} is not an address.", code=Exit.USAGE)
        except httpx.TransportError:
            hint = f"Start one with: {started_as()} up. For one elsewhere set AGENTHOST_PORT, or use --url http://..."
            fail(f"No host answers at {self.url}.", hint=hint, code=Exit.UNREACHABLE)

    def _document(self, text: str | bytes) -> dict[str, Any]:
        try:
            document = json.loads(text)
        except ValueError:
            document = None
        if not isinstance(document, dict):
            fail(f"What answers at {self.url} is not agenthost.", code=Exit.UNREACHABLE)
        if document.get("code") == "invalid_token" and self.signed_in is not None:
            hint = (
                f"It was signed with the key in {self.signed_in}, which is not that host's: "
                "set AGENTHOST_DATA_DIR to the host's data directory, or use --token."
            )
            return {**document, "hint": hint}
        return document

    @property
    def user_id(self) -> str:
        """The user of the token, unverified: the host decides."""
        try:
            payload = self.token.split(".")[1]
            return str(json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["sub"])
        except (IndexError, ValueError, KeyError, TypeError):
            fail("That is not a token.", code=Exit.USAGE)


def run_agent(host: Connection, name: str, arguments: Sequence[str], *, test: bool, output: Output) -> None:
    """Run an agent and print its output; logs and effects go to standard error, as they happen."""
    params = [_key_value(argument) for argument in arguments]
    if test:
        params.append(("test", "true"))
    path = f"/agents/{host.user_id}/{quote(name, safe='')}"
    if output is Output.JSON:
        status, document = host.get(path, params)
    else:
        hint = "See how the run ended with: agenthost runs"
        status, document = host.watch("GET", path, _say_event, params=params, hint=hint)
    if status != 200:
        ran = "run_id" in document and status in (502, 504)
        if output is Output.TEXT:
            _say_traceback(document)
            _say_usage(document)
        fail_with_problem(document, output, code=Exit.AGENT_FAILED if ran else Exit.FAILED)
    if output is Output.JSON:
        print_json(document)
        return
    _say_usage(document)
    print_json(document["output"])


def list_runs(host: Connection, *, agent: str | None, limit: int, output: Output) -> None:
    """Print the newest runs."""
    status, document = host.get("/runs", [("limit", str(limit)), *([("agent", agent)] if agent else [])])
    if status != 200:
        fail_with_problem(document, output)
    if output is Output.JSON:
        print_json(document)
        return
    rows = [
        (
            run["run_id"],
            _agent_of(run),
            run["status"],
            "test" if run.get("test") else "live",
            run.get("started_at") or "",
        )
        for run in document["data"]
    ]
    print_table(("RUN", "AGENT", "STATUS", "KIND", "STARTED"), rows)


def show_logs(host: Connection, run_id: str, *, output: Output) -> None:
    """Print what an agent printed during a run."""
    status, document = host.get(f"/runs/{quote(run_id, safe='')}")
    if status != 200:
        fail_with_problem(document, output)
    if output is Output.JSON:
        print_json(document["logs"])
        return
    for line in document["logs"] or ():
        typer.echo(printable(line))


def _key_value(argument: str) -> tuple[str, str]:
    key, equals, value = argument.partition("=")
    if not equals or not key:
        fail(f"{argument!r} is not key=value.", code=Exit.USAGE)
    return key, value


def _agent_of(run: Mapping[str, Any]) -> str:
    agent = run["agent"]
    return (
        f"{agent.get('agent_name') or agent.get('name')} v{agent['version']}" if isinstance(agent, dict) else str(agent)
    )


def _say_event(name: str, data: Mapping[str, Any]) -> None:
    if name == "run.log":
        say(f"log     {printable(data['line'])}")
    elif name == "run.effect":
        say(f"effect  {printable(data['service'])}.{printable(data['action'])} ({_fate(data)})")


def _fate(effect: Mapping[str, Any]) -> str:
    if effect["granted"] and effect["source"] is None:
        return "failed"
    if effect["performed"]:
        return "done"
    return "not done: dry run" if effect["granted"] else "not granted"


def _say_traceback(document: Mapping[str, Any]) -> None:
    """Where the agent raised: its own lines, and the exception as Python prints it."""
    error = document.get("error") or {}
    if error.get("traceback"):
        say(f"Traceback (most recent call last):\n{printable(error['traceback'])}")
        say(f"{printable(error['type'])}: {printable(error['message'])}")


def _say_usage(document: Mapping[str, Any]) -> None:
    if usage := document.get("usage"):
        say(f"run     {document['run_id']} in {usage['wall_ms']:.1f} ms")
