"""`agenthost migrate`: the owner's work on a database, done once and never while serving."""

import secrets
from urllib.parse import quote, unquote, urlsplit, urlunsplit

import typer

from service.commands.console import Exit, fail, say
from service.database.gateway import DatabaseError
from service.database.migrations import SERVING_LOGIN, migrate
from service.settings import Settings


async def migrate_database(settings: Settings, *, new_password: bool) -> Exit:
    """Apply what is missing. The serving login gets the password of DATABASE_URL, or a new one that is printed."""
    if settings.migrate_url is None:
        if settings.local_mode:
            say("Local mode: `agenthost up` migrates the embedded Postgres by itself. There is nothing to do.")
            return Exit.OK
        fail("AGENTHOST_MIGRATE_URL is not set.", hint="Set it to a connection string of the owner of the database.")
    owner_url = settings.migrate_url.get_secret_value()
    serving_url = settings.database_url.get_secret_value() if settings.database_url is not None else ""
    password = secrets.token_urlsafe(32) if new_password else _serving_password(serving_url)
    try:
        applied = await migrate(owner_url, serving_password=password)
    except DatabaseError as error:
        fail(f"{error}.")
    for name in applied:
        say(f"applied {name}")
    say("The database is at the version of this agenthost.")
    if new_password and password is not None:
        typer.echo(f"DATABASE_URL={_with_login(owner_url, password)}")
    elif password is None:
        say(f"The login {SERVING_LOGIN} was left as it is. --new-password makes it and prints its DATABASE_URL.")
    return Exit.OK


def _serving_password(serving_url: str) -> str | None:
    parts = urlsplit(serving_url)
    # A pooler may ask for the project behind the login's name: agenthost_api.<project>
    ours = (parts.username or "").partition(".")[0] == SERVING_LOGIN
    return unquote(parts.password) if ours and parts.password else None


def _with_login(owner_url: str, password: str) -> str:
    parts = urlsplit(owner_url)
    suffix = unquote(parts.username or "").partition(".")[2]
    login = f"{SERVING_LOGIN}.{suffix}" if suffix else SERVING_LOGIN
    place = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{quote(login)}:{quote(password)}@{place}"))
