"""Where the parts are put together: settings -> host -> application. The one place that knows the adapters."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import cache
from typing import Any, Final, TypedDict, Unpack

import structlog
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.responses import HTMLResponse

from sandbox.container.engine import ContainerEngine, ContainerSettings
from sandbox.job import Engine, SandboxUnavailable
from sandbox.restricted.engine import RestrictedEngine
from service import problems
from service.agents.directory import AgentDirectory
from service.agents.kept_files import KeptFiles
from service.agents.routes import router as agents_router
from service.auth import TokenVerifier
from service.capabilities.capability import Capability
from service.capabilities.email import ceiling_of
from service.capabilities.registry import Registry, TwinsDiffer, standard_registry
from service.database.gateway import Database, DatabaseError
from service.database.user_tables import Tables
from service.database.ways import Data, StartedTables, data_of
from service.docs_page import HEADERS as docs_page_headers
from service.docs_page import docs_page
from service.edge import Edge, InFlight
from service.host import Host
from service.jwks import RemoteKeys
from service.local import ISSUER, LocalIdentity, local_secret_key
from service.notifications.routes import router as notifications_router
from service.operations.readiness import ReadinessProbe
from service.operations.routes import VERSION
from service.operations.routes import router as operations_router
from service.outside.http import HttpDoor
from service.outside.mail import Mail
from service.outside.model import Model
from service.outside.outside import Outside
from service.outside.vault import Vault
from service.problem_docs import finish_openapi
from service.runs.routes import router as runs_router
from service.runs.signature import RecordSigner
from service.secret_keys import SecretKey, parse_secret_keys
from service.secrets.routes import router as secrets_router
from service.settings import Settings, SettingsError
from service.tokens import KeyVerifier, Rules, SecretVerifier

log = structlog.get_logger("agenthost.host")

_LAST_RECORDS_SECONDS: Final = 5.0
_START_SECONDS: Final = 10.0
_BUILD_SECONDS: Final = 900.0


class CannotStart(Exception):
    """The host cannot serve. The message tells the operator what is missing and what to do."""


class Given(TypedDict, total=False):
    """Parts that the caller of create_app brings along; the others are made from the settings."""

    database: Database
    engines: Mapping[str, Engine]
    verifier: TokenVerifier
    capabilities: Iterable[Capability]
    signer: RecordSigner
    outside: Outside


def create_app(settings: Settings, **given: Unpack[Given]) -> FastAPI:
    """The application. Its lifespan starts the parts, given or made, and raises CannotStart when one refuses."""
    in_flight = InFlight()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        try:
            async with running_host(settings, **given) as app.state.host:
                yield
                # Runs that the stop has cancelled still record how they ended.
                await in_flight.wait(_LAST_RECORDS_SECONDS)
        except CannotStart as error:
            app.state.refusal = str(error)
            raise

    app = FastAPI(
        title="agenthost",
        summary="Runs agents - Python nobody has reviewed - behind URLs.",
        version=VERSION,
        lifespan=lifespan,
        redirect_slashes=False,
        docs_url=None,
        redoc_url=None,
    )
    app.state.readiness = ReadinessProbe()
    app.state.in_flight = in_flight
    app.state.refusal = None
    app.add_middleware(Edge, in_flight=in_flight, url_bytes=settings.limit_url_bytes)
    problems.install(app)
    for router in (operations_router, runs_router, agents_router, secrets_router, notifications_router):
        app.include_router(router)
    _describe(app)
    return app


@asynccontextmanager
async def running_host(settings: Settings, **given: Unpack[Given]) -> AsyncIterator[Host]:
    """All parts, started; stopped on the way out, the engines before the database they are recorded in."""
    async with AsyncExitStack() as stack:
        try:
            host = await _assemble(settings, given, stack)
        except (SandboxUnavailable, DatabaseError, SettingsError, TwinsDiffer) as error:
            raise CannotStart(str(error)) from error
        yield host


async def _assemble(settings: Settings, given: Given, stack: AsyncExitStack) -> Host:
    capabilities = Registry(given["capabilities"]) if "capabilities" in given else registry_of(settings)
    verifier, identity = await verifier_of(settings, stack)
    data = Data(given["database"]) if "database" in given else await data_of(settings, stack)
    await _start(data.database, stack)
    if data.tables is not None:
        await _start(data.tables, stack)
    if data.rehearsals is not None:
        stack.push_async_callback(data.rehearsals.stop)
    engines = given["engines"] if "engines" in given else engines_of(settings)
    for engine in engines.values():
        await _start(engine, stack)
        if missing := engine.status().missing:
            log.warning("sandbox_weaker", engine=engine.name, missing=list(missing))
    keys = secret_keys_of(settings)
    log.info("secret_keys", newest_first=[str(key) for key in keys])
    return Host(
        settings=settings,
        database=data.database,
        engines=engines,
        verifier=given.get("verifier", verifier),
        capabilities=capabilities,
        signer=given.get("signer") or RecordSigner(keys),
        outside=given.get("outside") or outside_of(settings, keys, data.tables, model_of(settings, stack)),
        rehearsals=data.rehearsals,
        files=await files_of(settings, stack),
        identity=identity,
    )


def registry_of(settings: Settings) -> Registry:
    """Every service, within the operator's ceilings."""
    return standard_registry(email_to=ceiling_of(settings.email_to))


def outside_of(settings: Settings, keys: Sequence[SecretKey], tables: Tables | None, model: Model | None) -> Outside:
    """What live services act with, as far as it is configured."""
    return Outside(http=HttpDoor(), mail=mail_of(settings), model=model, tables=tables, vault=Vault(keys))


def model_of(settings: Settings, stack: AsyncExitStack) -> Model | None:
    """The operator's model provider, if a model is named."""
    if settings.openai_model is None:
        return None
    key = settings.openai_api_key
    model = Model(
        api_key=None if key is None else key.get_secret_value(),
        base_url=settings.openai_base_url,
        model=settings.openai_model,
    )
    stack.push_async_callback(model.close)
    return model


async def files_of(settings: Settings, stack: AsyncExitStack) -> KeptFiles | None:
    """Where stored agents are written to as files, if anywhere."""
    if settings.generated_agents_dir is None:
        return None
    files = KeptFiles(AgentDirectory(settings.generated_agents_dir))
    await _start(files, stack)
    return files


def mail_of(settings: Settings) -> Mail | None:
    """The operator's mail server, if there is one."""
    url = settings.smtp_url
    return None if url is None else Mail(url.get_secret_value(), sender=settings.email_from)


async def _start(part: Database | Engine | RemoteKeys | StartedTables | KeptFiles, stack: AsyncExitStack) -> None:
    stack.push_async_callback(part.stop)
    await part.start()


async def verifier_of(settings: Settings, stack: AsyncExitStack) -> tuple[TokenVerifier, LocalIdentity | None]:
    """Who is believed: the project's shared secret, its published keys, or this host's own key."""
    rules = Rules(issuer=settings.token_issuer, allow_anonymous=settings.allow_anonymous)
    if settings.supabase_jwt_secret is not None:
        return SecretVerifier(settings.supabase_jwt_secret.get_secret_value(), rules), None
    if (keys := remote_keys_of(settings)) is not None:
        await _start(keys, stack)
        return KeyVerifier(keys, rules), None
    identity = LocalIdentity.in_directory(settings.data_dir)
    return KeyVerifier(identity, Rules(issuer=ISSUER, allow_anonymous=settings.allow_anonymous)), identity


def remote_keys_of(settings: Settings) -> RemoteKeys | None:
    """The endpoint of the project's keys, not started. The project's own gateway gets its publishable key."""
    url, project, key = settings.jwks_url, settings.supabase_url, settings.supabase_publishable_key
    if url is None:
        return None
    within = project is not None and url.startswith(f"{project}/")
    return RemoteKeys(url, headers={"apikey": key.get_secret_value()} if within and key is not None else None)


def engines_of(settings: Settings, *, patient: bool = False) -> Mapping[str, Engine]:
    """The engines of this machine, by name, not started. `patient`: a start waits until an image is built."""
    weaker = settings.sandbox_allow_weaker
    engines: dict[str, Engine] = {"restricted": RestrictedEngine(limits=settings.sandbox_limits(), allow_weaker=weaker)}
    if settings.container_pool:
        containers = ContainerSettings(
            docker_host=settings.docker_host,
            certificates=settings.docker_cert_path,
            pool=settings.container_pool,
            runtime=settings.container_runtime,
            base_image=settings.container_base_image,
            instance=settings.data_dir / "instance",
            start_seconds=_BUILD_SECONDS if patient else _START_SECONDS,
        )
        limits = settings.sandbox_limits("container")
        engines["container"] = ContainerEngine(containers, limits=limits, say=_told, allow_weaker=weaker)
    return engines


def _told(state: str, line: str) -> None:
    """What the container engine says of itself, when that changes."""
    troubled = state == "unavailable" and line != "stopped"
    (log.warning if troubled else log.info)("container_engine", state=state, says=line)


def secret_keys_of(settings: Settings) -> tuple[SecretKey, ...]:
    """The configured keys, or the one of the data directory."""
    if settings.secret_keys is not None:
        return parse_secret_keys(settings.secret_keys.get_secret_value())
    if not settings.local_mode:
        log.warning("secret_keys_local", advice="Set AGENTHOST_SECRET_KEYS to the same keys on every replica.")
    return (local_secret_key(settings.data_dir),)


def _describe(app: FastAPI) -> None:
    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = get_openapi(
                title=app.title, version=app.version, summary=app.summary, routes=app.routes, tags=app.openapi_tags
            )
            app.openapi_schema = finish_openapi(document)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]

    page = cache(lambda: docs_page(openapi()))

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(page(), headers=docs_page_headers)
