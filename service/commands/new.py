"""`agenthost new`: the host's model writes an agent, and each step is shown while it happens."""

from collections.abc import Mapping
from typing import Any

import typer

from service.commands.client import Connection
from service.commands.console import Exit, Output, fail, fail_with_problem, print_json, printable, say, started_as
from service.commands.grants import say_grants


def write_agent(host: Connection, description: str, name: str | None, *, accept: bool, output: Output) -> None:
    """Print the code, or the whole document as JSON."""
    if accept and name is None:
        fail("--accept is for an agent that is stored.", hint="Use --name too.", code=Exit.USAGE)
    body: dict[str, Any] = {"description": description}
    if name is not None:
        body |= {"agent_name": name, "accept_capabilities": accept}
    path = "/agents/generate" if name is None else "/agents"
    steps = _Steps(quiet=output is Output.JSON)
    hint = "Nothing is stored unless it was done: see with GET /agents."
    status, document = host.watch("POST", path, steps.told, body=body, hint=hint)
    if status >= 300:
        steps.end()
        fail_with_problem(document, output)
    if output is Output.JSON:
        print_json(document)
        return
    _say_agent(document)
    typer.echo(printable(document["agent_config"]["code"]), nl=False)


class _Steps:
    """Says what happens, on standard error."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._line = ""

    def told(self, name: str, data: Mapping[str, Any]) -> None:
        if self._quiet:
            return
        if name != "generation.code":
            self.end()
        match name:
            case "generation.attempt":
                for problem in (data["last"] or {}).get("problems", ()):
                    say(f"          {printable(problem)}")
                say(f"attempt   {data['attempt']} of {data['of']}")
            case "generation.code":
                *lines, self._line = (self._line + data["code"]).split("\n")
                for line in lines:
                    say(f"code      | {printable(line)}")
            case "generation.check":
                say(f"check     {'passed' if data['ok'] else 'refused'}")
            case "generation.dry_run":
                say(f"dry run   {'passed' if data['ok'] else 'failed'}")

    def end(self) -> None:
        """The rest of a line that was not ended."""
        if self._line:
            say(f"code      | {printable(self._line)}")
        self._line = ""


def _say_agent(document: Mapping[str, Any]) -> None:
    made = document["generation"]
    say(f"written   by {printable(made['model'])} in {made['seconds']:.1f} s, {sum(made['tokens'].values())} tokens")
    say(f"summary   {printable(document['summary'])}")
    say_grants(document["capabilities"], document["proposed"], document.get("agent_name"))
    if "agent_name" in document:
        say(
            f"agent     {document['agent_name']} version {document['version']}, run it with: {started_as()} run "
            f"{document['agent_name']}"
        )
