"""A client of a running host, and the commands run, runs and logs, which only ask it."""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import typer

from service.commands.console import Exit, Output, fail, fail_with_problem, print_json, print_table, printable, say


@dataclass(frozen=True, slots=True)
class Connection:
    """A host, and the token of the user who asks it."""

    url: str
    token: str
    seconds: float

    def get(self, path: str, params: Sequence[tuple[str, str]] = ()) -> tuple[int, dict[str, Any]]:
        return self.ask("GET", path, params)

    def ask(
        self, method: str, path: str, params: Sequence[tuple[str, str]] = (), body: Any = None
    ) -> tuple[int, dict[str, Any]]:
        """Status and document of an answer, {} of one without; ends the command when the host cannot be reached."""
        import httpx  # slow to import, and most commands do without

        try:
            answer = httpx.request(
                method,
                self.url.rstrip("/") + path,
                params=list(params),
                json=body,
                headers={"Authorization": f"Bearer {self.token}"},
                timeout=httpx.Timeout(10.0, read=self.seconds),
            )
        except httpx.InvalidURL:
            fail(f"{self.url} is not an address.", code=Exit.USAGE)
        except httpx.TransportError:
            fail(f"No host answers at {self.url}.", hint="Start one with: agenthost up", code=Exit.UNREACHABLE)
        try:
            document = {} if answer.status_code == 204 else answer.json()
        except ValueError:
            document = None
        if not isinstance(document, dict):
            fail(f"What answers at {self.url} is not agenthost.", code=Exit.UNREACHABLE)
        return answer.status_code, document

    @property
    def user_id(self) -> str:
        """The user of the token, unverified: the host decides."""
        try:
            payload = self.token.split(".")[1]
            return str(json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["sub"])
        except (IndexError, ValueError, KeyError, TypeError):
            fail("That is not a token.", code=Exit.USAGE)


def run_agent(host: Connection, name: str, arguments: Sequence[str], *, test: bool, output: Output) -> None:
    """Run an agent and print its output; logs and effects go to standard error."""
    params = [_key_value(argument) for argument in arguments]
    if test:
        params.append(("test", "true"))
    status, document = host.get(f"/agents/{host.user_id}/{quote(name, safe='')}", params)
    if status != 200:
        ran = "run_id" in document and status in (502, 504)
        if output is Output.TEXT:
            _say_what_happened(document)
        fail_with_problem(document, output, code=Exit.AGENT_FAILED if ran else Exit.FAILED)
    if output is Output.JSON:
        print_json(document)
        return
    _say_what_happened(document)
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


def _say_what_happened(document: Mapping[str, Any]) -> None:
    for line in document.get("logs") or ():
        say(f"log     {printable(line)}")
    for effect in document.get("effects") or ():
        how = "done" if effect["performed"] else "not granted" if not effect["granted"] else "not done: dry run"
        say(f"effect  {printable(effect['service'])}.{printable(effect['action'])} ({how})")
    if usage := document.get("usage"):
        say(f"run     {document['run_id']} in {usage['wall_ms']:.1f} ms")
