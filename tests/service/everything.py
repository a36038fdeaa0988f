"""A host with every service, and everything that its agents could reach: two web servers, a model, mail, tables."""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import psycopg

from service.app import create_app, model_of, outside_of
from service.auth import Caller
from service.capabilities.broker import Broker
from service.database.tables import PostgresTables
from service.local import LocalIdentity
from service.outside.http import HttpDoor
from service.secret_keys import SecretKey
from service.settings import Settings
from tests.database.own_tables import contents, make_tables
from tests.outside.site import Site, site
from tests.postgres import Addresses, Server
from tests.service import contexts
from tests.service.conftest import LocalHost, User
from tests.service.mail_server import ENCODED, PASSWORD, USER, MailServer, mail_server
from tests.service.scripted_provider import answer, said
from tests.service.served import served

API: Final = "api.example.com"
INSIDE: Final = "intranet.example.com"
VERBS: Final = ["select", "insert", "update", "delete"]
CANARIES: Final = ("sk-canary-model", USER, PASSWORD, ENCODED, "canary-key")
"""Of the operator's settings: no agent may see one of these."""

_CAUGHT: Final = """\
def attempt(call, *args, **options):
    try:
        return call(*args, **options)
    except Exception as error:
        return [type(error).__name__, str(error)]


"""


@dataclass(frozen=True, slots=True)
class Everything:
    """The host, what stands around it, and the names that were looked up."""

    host: LocalHost
    web: Site
    inside: Site
    model: Site
    mail: MailServer
    addresses: Addresses
    owner: psycopg.AsyncConnection[tuple[object, ...]]
    resolved: list[str] = field(default_factory=list)

    @property
    def api(self) -> str:
        return f"http://{API}:{self.web.port}"

    @property
    def grants(self) -> dict[str, Any]:
        """All that can be granted here."""
        methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
        hosts = [f"{API}:{self.web.port}", f"127.0.0.1:{self.web.port}", f"{INSIDE}:{self.inside.port}"]
        return {
            "http": {"hosts": hosts, "methods": methods, "schemes": ["http", "https"]},
            "llm": {},
            "kv": {},
            "db": {"tables": dict.fromkeys(("leads", "spying", "traps"), VERBS)},
            "email": {"to": ["me", "*@acme.com"]},
            "notify": {},
            "agents": {"names": ["child", "agent"]},
            "secrets": {"names": ["KEY"]},
        }

    async def agent(self, user: User, body: str, name: str = "agent", **config: Any) -> None:
        """An agent of these lines; `attempt` gives a call's answer, or its error's name and text."""
        lines = "".join(f"    {line}\n" for line in body.strip().splitlines())
        code = f"{_CAUGHT}def run(services):\n{lines}".replace("API", self.api)
        await user.define(name, code, **{"capabilities": self.grants} | config)

    def broker(self, caller: Caller, *, test: bool, **given: Any) -> Broker:
        """A broker of a run that no host has begun, with the host's own parts."""
        host = self.host.host
        dry = {"rehearsal": host.rehearsals.of(caller)} if test and host.rehearsals is not None else {}
        default = {"manifest": self.grants, "outside": host.outside, "limits": host.settings, "max_effects": 10_000}
        return contexts.broker(caller, host.database, test=test, registry=host.capabilities, **default | dry | given)

    async def keep_secret(self, user: User, value: str) -> None:
        body = {"value": value, "hosts": [self.api]}
        answer = await user.http.put("/secrets/KEY", json=body)
        assert answer.status_code == 204, answer.text

    async def look(self) -> str:
        """What has been reached and changed. Runs and their effects are rows too: for brokers without a host."""
        reached = (self.web.connections, self.inside.connections, self.model.connections, self.mail.connections)
        return json.dumps([reached, self.resolved, len(self.mail.accepted), await contents(self.addresses)])


@asynccontextmanager
async def everything(postgres: Server, data_dir: Path, **limits: Any) -> AsyncIterator[Everything]:
    """The host is served until the block ends."""
    addresses = await postgres.clone()
    await make_tables(addresses)
    resolved: list[str] = []

    async def resolve(host: str) -> list[str]:
        resolved.append(host)
        return ["127.0.0.1"]

    async with (
        site() as web,
        site() as inside,
        site() as model,
        mail_server() as mail,
        await addresses.owner() as owner,
        AsyncExitStack() as stack,
    ):
        usage = {"input_tokens": 5, "output_tokens": 3, "total_tokens": 8}
        model.answers["/v1/responses"] = answer(said('{"ready": true}', usage=usage))
        settings = Settings.model_validate(
            {
                "data_dir": data_dir,
                "database_url": addresses.serving_dsn,
                "openai_model": "model",
                "openai_base_url": f"http://127.0.0.1:{model.port}/v1",
                "openai_api_key": CANARIES[0],
                "smtp_url": f"smtp://{ENCODED}@127.0.0.1:{mail.port}",
                "email_from": "agents@example.com",
                "email_to": "*@acme.com",
                **limits,
            }
        )
        tables = PostgresTables(addresses.serving_dsn, most_rows=settings.limit_db_rows)
        await tables.start()
        stack.push_async_callback(tables.stop)
        keys = [SecretKey("k", b"canary-key" + b"k" * 32)]
        outside = outside_of(settings, keys, tables, model_of(settings, stack))
        door = HttpDoor(resolve=resolve, allowed=frozenset({web.pair}))
        app = create_app(settings, outside=replace(outside, http=door))
        async with served(app, settings) as url:
            host = LocalHost(url, app, LocalIdentity.in_directory(data_dir))
            yield Everything(host, web, inside, model, mail, addresses, owner, resolved)
    await postgres.drop(addresses)
