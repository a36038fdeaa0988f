"""What `agenthost up` prints once it serves: the address, a token, and lines that work as pasted."""

import json
import shlex
from collections.abc import Iterator
from typing import Final

from service.commands.console import started_as
from service.database.gateway import DatabaseError
from service.host import Host
from service.local import DEMO_EMAIL, DEMO_USER_ID, TOKEN_SECONDS, user_of_email

_NAME: Final = "hello"
_CODE: Final = '''"""Greets somebody, and leaves a note of it."""

def run(name: str = "World", services=None):
    services.notify.send(title="Greeting", content=f"Greeted {name}.")
    print("greeting", name)
    return {"message": f"Hello, {name}"}
'''


async def welcome(host: Host, url: str) -> str:
    """The text for a host with demo users of its own; only the address where an identity provider has the users."""
    lines = [f"agenthost is ready at {url}", f"The interface is described at {url}/docs"]
    if host.identity is not None and host.settings.local_mode:
        lines += ["", *await _demo(host, url)]
    elif host.identity is not None:
        lines.append(f"A token for a local user: {started_as()} token --email ada@example.com")
    return "\n".join(lines)


async def _demo(host: Host, url: str) -> list[str]:
    assert host.identity is not None
    token = host.identity.mint(DEMO_USER_ID, DEMO_EMAIL)
    stranger = host.identity.mint(user_of_email("stranger@example.com"), "stranger@example.com", 86_400)
    name = await _free_name(host, token)
    agent = f"{url}/agents/{DEMO_USER_ID}/{name}"
    body = json.dumps({"agent_name": name, "agent_config": _CODE})
    return [
        f"A token of the demo user {DEMO_EMAIL}, good for {TOKEN_SECONDS // 86_400} days:",
        f"TOKEN={token}",
        "",
        "Sample agents are there already. Try one:",
        f'{started_as()} run site_checker --test --url {url} --token "$TOKEN"',
        "",
        "Define one of your own:",
        _curl("TOKEN", f"{url}/agents", "-H 'Content-Type: application/json'", "-d", shlex.quote(body)),
        "",
        "Run it:",
        _curl("TOKEN", shlex.quote(f"{agent}?name=Ada")),
        "",
        "Run it dry, so that it cannot act:",
        _curl("TOKEN", shlex.quote(f"{agent}?name=Ada&test=true")),
        "",
        "And see that nobody else can (403, not_your_agent):",
        f"STRANGER={stranger}",
        _curl("STRANGER", shlex.quote(f"{agent}?name=Ada")),
    ]


def _curl(variable: str, *arguments: str) -> str:
    return f'curl -sS -H "Authorization: Bearer ${variable}" {" ".join(arguments)}'


async def _free_name(host: Host, token: str) -> str:
    """A name that the demo user has not used yet, so that the first line works at every start."""
    caller = await host.verifier.verify(token)
    try:
        rows = await host.database.select(
            caller, "agents", columns=["agent_name"], where={"agent_name": {"like": f"{_NAME}%"}}
        )
    except DatabaseError:
        rows = []
    taken = {row["agent_name"] for row in rows}
    return next(name for name in _names() if name not in taken)


def _names() -> Iterator[str]:
    yield _NAME
    number = 2
    while True:
        yield f"{_NAME}-{number}"
        number += 1
