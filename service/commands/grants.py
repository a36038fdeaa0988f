"""`agenthost accept`, and what the other commands say of what an agent may do and of what it only proposes."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import typer

from service.commands.client import Connection
from service.commands.console import Output, fail_with_problem, print_json, printable, say, started_as


def accept_agent(host: Connection, name: str, *, output: Output) -> None:
    """Put in force what an agent proposes, and print what is in force then."""
    status, document = host.ask("PATCH", f"/agents/{quote(name, safe='')}", body={"accept_capabilities": True})
    if status != 200:
        fail_with_problem(document, output)
    if output is Output.JSON:
        print_json(document)
    else:
        typer.echo(f"may use   {name}: {grants_in_words(document['capabilities'])}")


def say_grants(capabilities: Mapping[str, Any], proposed: Mapping[str, Any], name: str | None) -> None:
    """What is in force, and how to accept the rest; without a name the agent is not stored."""
    say(f"may use   {f'{name}: ' if name else ''}{grants_in_words(capabilities)}")
    if proposed:
        how = f"{started_as()} accept {name}" if name is not None else "store it with --name NAME --accept"
        say(f"proposed  {grants_in_words(proposed)}")
        say(f"          denied live until you accept it: {how}")


def grants_in_words(capabilities: Mapping[str, Any]) -> str:
    """Services with their hosts, tables, addresses and names."""
    said = []
    for service, grant in capabilities.items():
        details = _details(service, grant)
        said.append(f"{service} ({details})" if details else service)
    return printable(", ".join(said)) or "nothing"


def _details(service: str, grant: Mapping[str, Any]) -> str:
    match service:
        case "http":
            plain = "; also http://" if "http" in grant["schemes"] else ""
            return f"{' '.join(grant['methods'])}: {_listed(grant['hosts'])}{plain}"
        case "db":
            return "; ".join(f"{table}: {_listed(verbs)}" for table, verbs in grant["tables"].items()) or "no table"
        case "email":
            most = grant.get("max_per_run")
            return _listed(grant["to"]) + (f"; at most {most} a run" if most else "")
        case "agents" | "secrets":
            return _listed(grant["names"])
        case "llm":
            most = grant.get("max_tokens_per_run")
            return f"at most {most} tokens a run" if most else ""
        case _:
            return ""


def _listed(values: list[str]) -> str:
    return ", ".join(values) or "none"
