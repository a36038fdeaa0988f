"""`agenthost doctor`: what works here and what does not, a sentence and a fix each."""

import asyncio
import platform
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import typer

from sandbox.job import SandboxUnavailable
from service.app import engines_of, remote_keys_of, secret_keys_of, verifier_of
from service.commands.console import Exit, Output, print_json, printable
from service.database.gateway import DatabaseError, DatabaseUnfit
from service.database.ways import data_of
from service.serving import CannotListen, listening_socket
from service.settings import Settings, SettingsError, read_settings

_AGENT = 'def run(name: str = "World"):\n    return {"message": f"Hello, {name}"}\n'


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at. `needed`: without it the host could not serve."""

    name: str
    works: bool
    says: str
    fix: str = ""
    needed: bool = True


async def examine(output: Output) -> Exit:
    """Look at everything that `up` needs and print a finding each; FAILED when something needed does not work."""
    findings = [finding async for finding in _findings()]
    if output is Output.JSON:
        print_json({"ok": _could_serve(findings), "findings": [asdict(finding) for finding in findings]})
    else:
        for finding in findings:
            mark = "ok  " if finding.works else "FAIL" if finding.needed else "note"
            typer.echo(f"{mark}  {finding.name:<10}  {printable(finding.says)}")
            if not finding.works and finding.fix:
                typer.echo(f"{'':<18}{finding.fix}")
    return Exit.OK if _could_serve(findings) else Exit.FAILED


def _could_serve(findings: list[Finding]) -> bool:
    return all(finding.works or not finding.needed for finding in findings)


async def _findings() -> AsyncIterator[Finding]:
    try:
        settings = read_settings()
    except SettingsError as error:
        yield Finding("settings", False, str(error), "Correct the variable, or unset it.")
        return
    mode = "nothing is configured, so the host brings its own Postgres" if settings.local_mode else "read"
    yield Finding("settings", True, f"{mode[0].upper()}{mode[1:]}.")
    for warning in settings.warnings():
        yield Finding("settings", False, warning, needed=False)
    yield _python()
    yield _port(settings)
    yield await _keys(settings)
    yield _records(settings)
    async for finding in _database(settings):
        yield finding
    yield await _engine(settings)
    if settings.container_pool:
        yield await _containers(settings)


def _python() -> Finding:
    fits = sys.version_info >= (3, 12) and sys.platform == "linux"
    return Finding(
        "python",
        fits,
        f"Python {platform.python_version()} on {platform.system()} {platform.release()}.",
        "The sandbox needs Linux and Python 3.12 or newer.",
    )


def _port(settings: Settings) -> Finding:
    try:
        listening_socket(settings).close()
    except CannotListen as error:
        return Finding("port", False, str(error), "If a host is already running there, all is well.", needed=False)
    return Finding("port", True, f"{settings.host} port {settings.port} is free.")


async def _keys(settings: Settings) -> Finding:
    async with AsyncExitStack() as stack:
        try:
            verifier, identity = await verifier_of(settings, stack)
        except SettingsError as error:
            return Finding("keys", False, f"{error}.")
        if identity is not None:
            return Finding("keys", True, f"Tokens are signed by this host's own key {identity.kid[:8]}.")
        if settings.supabase_jwt_secret is not None:
            return await _shared_secret(settings, stack)
        status = verifier.status()
        if status.state == "ready":
            return Finding("keys", True, f"Keys of tokens were fetched from {settings.jwks_url}.")
        return Finding("keys", False, f"No keys of tokens from {settings.jwks_url}: {status.detail}.", _KEYS_FIX)


async def _shared_secret(settings: Settings, stack: AsyncExitStack) -> Finding:
    """Tokens are HS256: then the project should have no other keys, which it may sign with already."""
    says = "Tokens are checked with SUPABASE_JWT_SECRET (HS256)"
    if (keys := remote_keys_of(settings)) is not None:
        stack.push_async_callback(keys.stop)
        await keys.start()
        if keys.status().state == "ready":
            says = f"{says}, but the project also has signing keys, whose tokens are refused."
            return Finding("keys", False, says, "Once it signs with them, unset SUPABASE_JWT_SECRET.", needed=False)
    return Finding("keys", True, f"{says}.")


def _records(settings: Settings) -> Finding:
    try:
        first, *others = map(str, secret_keys_of(settings))
    except SettingsError as error:
        return Finding("records", False, f"{error}.")
    older = f"; older keys: {', '.join(others)}" if others else ""
    return Finding("records", True, f"Records are signed and secrets sealed under the key {first}{older}.")


async def _database(settings: Settings) -> AsyncIterator[Finding]:
    place = (
        "SUPABASE_URL is right and the project is up"
        if settings.over_rest
        else "DATABASE_URL is right and Postgres is up"
    )
    async with AsyncExitStack() as stack:
        try:
            database = (await data_of(settings, stack)).database
            stack.push_async_callback(database.stop)
            await database.start()
            status = await database.status()
        except DatabaseUnfit as error:
            running = "is running on the data directory" in str(error)
            yield Finding("database", False, f"{error}.", needed=not running)
        except DatabaseError as error:
            yield Finding("database", False, f"{error}.", f"See that {place}.")
        else:
            who = "The project answers over REST" if settings.over_rest else "Postgres answers"
            yield Finding("database", status.ready, f"{who}: {status.detail}.", "Run `agenthost migrate`.")
    if settings.over_rest:
        says = "Over REST no dry run can use db, and a run ends before its caller's token does."
        yield Finding(
            "database", False, says, "DATABASE_URL, a connection to Postgres itself, does both.", needed=False
        )


async def _engine(settings: Settings) -> Finding:
    engine = engines_of(settings)["restricted"]
    try:
        await engine.start()
        try:
            async with asyncio.timeout(30):
                checked = await engine.check(_AGENT)
            status = engine.status()
        finally:
            await engine.stop()
    except (SandboxUnavailable, TimeoutError) as error:
        return Finding("sandbox", False, f"{error or 'It does not answer'}.", _SANDBOX_FIX)
    if checked.problems:
        return Finding("sandbox", False, f"A plain agent is refused: {checked.problems[0].message}.")
    layers = f"Layers in force: {', '.join(status.isolation)}."
    if status.missing:
        return Finding("sandbox", False, f"{layers} Missing: {', '.join(status.missing)}.", _SANDBOX_FIX, needed=False)
    return Finding("sandbox", True, layers)


async def _containers(settings: Settings) -> Finding:
    """One container, beside those of a host that may be running. The image is built if it is not there."""
    with TemporaryDirectory() as own:
        changed = settings.model_copy(update={"data_dir": Path(own), "container_pool": 1})
        engine = engines_of(changed, patient=True)["container"]
        try:
            await engine.start()
            status = engine.status()
            checked = await engine.check(_AGENT)
        except SandboxUnavailable as error:
            return Finding("containers", False, f"{error}.", _CONTAINERS_FIX)
        finally:
            await engine.stop()
    if checked.problems:
        return Finding("containers", False, f"A plain agent is refused: {checked.problems[0].message}.")
    layers = f"Layers in force: {', '.join(status.isolation)}."
    if status.missing:
        says = f"{layers} Missing: {', '.join(status.missing)}."
        return Finding("containers", False, says, _CONTAINERS_FIX, needed=False)
    return Finding("containers", True, layers)


_CONTAINERS_FIX = (
    "Agents with the engine 'container' need a Docker daemon at DOCKER_HOST that knows AGENTHOST_CONTAINER_RUNTIME and "
    "has, or can pull, AGENTHOST_CONTAINER_BASE_IMAGE. AGENTHOST_CONTAINER_POOL=0 switches the engine off."
)
_KEYS_FIX = (
    "The address should answer a key set and be reached from here. A project that still signs with its legacy secret "
    "has no keys: set SUPABASE_JWT_SECRET, or rotate it to an asymmetric signing key."
)
_SANDBOX_FIX = (
    "Agents are kept in by Linux namespaces, seccomp and limits of resources. Where user namespaces are switched off, "
    "allow them (sysctl kernel.unprivileged_userns_clone=1; on Ubuntu kernel.apparmor_restrict_unprivileged_userns=0); "
    "in a container allow the system calls unshare, mount, umount2 and pivot_root."
)
