"""The command line: agenthost up | token | doctor | migrate | check | new | accept | agents | run | runs | logs
| notifications | pull | push | secret.

Exit codes: 0 done; 1 failed, or the host could not serve; 2 wrong usage; 3 the agent failed; 4 no host answers.
"""

import asyncio
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit
from uuid import UUID

import typer

from service.commands import agents, client, notifications, secrets
from service.commands.console import Exit, Output, fail, say, started_as
from service.local import DEMO_EMAIL, DEMO_USER_ID, SIGNING_KEY, LocalIdentity, user_of_email
from service.logs import configure_logs
from service.settings import Settings, SettingsError, read_settings

app = typer.Typer(
    name="agenthost",
    help="Hosts agents - Python nobody has reviewed - behind URLs, for many users who do not trust each other.",
    epilog="Exit codes: 0 done, 1 failed or not able to serve, 2 wrong usage, 3 the agent failed, 4 no host answers.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

OutputOption = Annotated[Output, typer.Option("-o", "--output", help="How data is written.")]
UrlOption = Annotated[str | None, typer.Option(help="Address of the host; by default the local one.")]
TokenOption = Annotated[str | None, typer.Option(help="Whose token to use; by default the local demo user's.")]


def main() -> None:
    """The entry point."""
    configure_logs(terminal=sys.stderr.isatty())
    try:
        app()
    except SettingsError as error:
        say(f"Error: {error}")
        sys.exit(Exit.FAILED)
    except KeyboardInterrupt:
        sys.exit(130)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(version("agenthost"))
        raise typer.Exit


@app.callback()
def options(
    _: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


@app.command()
def up(
    port: Annotated[int | None, typer.Option(help="Port to listen on, instead of AGENTHOST_PORT.")] = None,
) -> None:
    """Start the host; with nothing configured, with a Postgres, a demo user and keys of its own."""
    from service.commands.up import serve

    sys.exit(serve(read_settings() if port is None else read_settings(port=port)))


@app.command()
def token(
    user: Annotated[UUID | None, typer.Option(help="Id of the user.")] = None,
    email: Annotated[str | None, typer.Option(help="Address of the user; without --user it stands for one.")] = None,
) -> None:
    """Print a local user's token, by default the demo user's."""
    if email is not None and not email.strip():
        fail("--email is empty.", hint="Use --email ada@example.com, or leave it out.", code=Exit.USAGE)
    settings = read_settings()
    typer.echo(_mint(settings, user, email))


@app.command()
def migrate(
    new_password: Annotated[
        bool, typer.Option("--new-password", help="Give the serving login a new password and print its DATABASE_URL.")
    ] = False,
) -> None:
    """Bring the database of AGENTHOST_MIGRATE_URL to this version, and make the login that serves."""
    from service.commands.migrate import migrate_database

    sys.exit(asyncio.run(migrate_database(read_settings(), new_password=new_password)))


@app.command("doctor")
def run_doctor(output: OutputOption = Output.TEXT) -> None:
    """Say what works and what does not, with a fix each. Exit code 1 when the host could not serve."""
    from service.commands.doctor import examine

    sys.exit(asyncio.run(examine(output)))


@app.command()
def check(
    file: Annotated[Path, typer.Argument(help="Python source of an agent; - reads standard input.")],
    output: OutputOption = Output.TEXT,
) -> None:
    """Check an agent's code as the host would, in a sandbox, without storing or running it."""
    from service.commands.check import check_source

    sys.exit(asyncio.run(check_source(read_settings(), file, output)))


@app.command()
def new(
    description: Annotated[str, typer.Argument(help="What the agent should do.")],
    name: Annotated[
        str | None, typer.Option(help="Store it under this name; without it only the code is shown.")
    ] = None,
    accept: Annotated[
        bool, typer.Option("--accept", "--yes", help="Let it use at once all that its code asks for.")
    ] = False,
    output: OutputOption = Output.TEXT,
    url: UrlOption = None,
    token: TokenOption = None,
) -> None:
    """Have the host's language model write an agent. Its code goes to standard output, the rest to standard error."""
    from service.commands.new import write_agent

    write_agent(_connection(url, token), description, name, accept=accept, output=output)


@app.command()
def accept(
    name: Annotated[str, typer.Argument(help="Name of the agent.")],
    output: OutputOption = Output.TEXT,
    url: UrlOption = None,
    token: TokenOption = None,
) -> None:
    """Let an agent use what its code proposes, and print what it may use then."""
    from service.commands.grants import accept_agent

    accept_agent(_connection(url, token), name, output=output)


@app.command("agents")
def list_agents(output: OutputOption = Output.TEXT, url: UrlOption = None, token: TokenOption = None) -> None:
    """List your agents, newest first."""
    agents.list_agents(_connection(url, token), output=output)


@app.command("run")
def run_agent(
    name: Annotated[str, typer.Argument(help="Name of the agent.")],
    arguments: Annotated[list[str] | None, typer.Argument(metavar="KEY=VALUE", help="Its input.")] = None,
    test: Annotated[bool, typer.Option("--test", help="A dry run: nothing acts.")] = False,
    output: OutputOption = Output.TEXT,
    url: UrlOption = None,
    token: TokenOption = None,
) -> None:
    """Run an agent. Its output goes to standard output, its logs and effects to standard error."""
    client.run_agent(_connection(url, token), name, arguments or [], test=test, output=output)


@app.command()
def runs(
    agent: Annotated[str | None, typer.Option(help="Only runs of this agent.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100, help="At most this many.")] = 20,
    output: OutputOption = Output.TEXT,
    url: UrlOption = None,
    token: TokenOption = None,
) -> None:
    """List the newest runs."""
    client.list_runs(_connection(url, token), agent=agent, limit=limit, output=output)


@app.command()
def logs(
    run: Annotated[str, typer.Argument(help="Id of the run.")],
    output: OutputOption = Output.TEXT,
    url: UrlOption = None,
    token: TokenOption = None,
) -> None:
    """Print what an agent printed during a run."""
    client.show_logs(_connection(url, token), run, output=output)


@app.command("notifications")
def list_notifications(
    unread: Annotated[bool, typer.Option("--unread", help="Only those that are not marked as read.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=100, help="At most this many.")] = 20,
    output: OutputOption = Output.TEXT,
    url: UrlOption = None,
    token: TokenOption = None,
) -> None:
    """List the newest notifications that your agents left you."""
    notifications.list_notifications(_connection(url, token), unread=unread, limit=limit, output=output)


@app.command()
def pull(
    name: Annotated[str | None, typer.Argument(help="Name of the agent; by default all of yours.")] = None,
    directory: Annotated[Path | None, typer.Option("--dir", help="Where to; by default generated_agents.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite what was changed in files.")] = False,
    output: OutputOption = Output.TEXT,
    url: UrlOption = None,
    token: TokenOption = None,
) -> None:
    """Write your agents as files, <user id>/<agent name>.py. A file with changes of its own is left as it is."""
    from service.commands import files

    to = directory or read_settings().generated_agents_dir or Path("generated_agents")
    sys.exit(files.pull(_connection(url, token), to, name, force=force, output=output))


@app.command()
def push(
    file: Annotated[list[Path], typer.Argument(help="Files of agents; each is named as its agent is.")],
    force: Annotated[bool, typer.Option("--force", help="Overwrite what was changed on the host.")] = False,
    output: OutputOption = Output.TEXT,
    url: UrlOption = None,
    token: TokenOption = None,
) -> None:
    """Define agents from files, or change them. What was changed on the host since is left as it is."""
    from service.commands import files

    sys.exit(files.push(_connection(url, token), file, force=force, output=output))


secret = typer.Typer(help="Your secrets: values go in and never come out.", no_args_is_help=True)
app.add_typer(secret, name="secret")


@secret.command("set")
def set_secret(
    name: Annotated[str, typer.Argument(help="Its name, such as CRM_KEY.")],
    host: Annotated[list[str], typer.Option(help="A host it may be sent to; repeat it for more.")],
    url: UrlOption = None,
    token: TokenOption = None,
) -> None:
    """Store a secret, or replace it. The value is read from standard input."""
    secrets.set_secret(_connection(url, token), name, host)


@secret.command("list")
def list_secrets(output: OutputOption = Output.TEXT, url: UrlOption = None, token: TokenOption = None) -> None:
    """List the names of your secrets and their hosts."""
    secrets.list_secrets(_connection(url, token), output=output)


@secret.command("delete")
def delete_secret(
    name: Annotated[str, typer.Argument(help="Its name.")], url: UrlOption = None, token: TokenOption = None
) -> None:
    """Delete a secret."""
    secrets.delete_secret(_connection(url, token), name)


def _mint(settings: Settings, user: UUID | None = None, email: str | None = None) -> str:
    if settings.jwks_url is not None or settings.supabase_jwt_secret is not None:
        fail("The users of this host are its identity provider's.", hint="Sign in there and use the token you get.")
    if not (settings.data_dir / SIGNING_KEY).exists():
        hint = f"Start one with: {started_as()} up. Or set AGENTHOST_DATA_DIR to a host's data directory."
        fail(f"No host has run with {settings.data_dir}.", hint=hint)
    if user is None and email is None:
        user, email = DEMO_USER_ID, DEMO_EMAIL
    if user is None:
        user = user_of_email(email or "")
    return LocalIdentity.in_directory(settings.data_dir).mint(user, email)


def _connection(url: str | None, token: str | None) -> client.Connection:
    if url is not None and not _is_address(url):
        fail(f"{url!r} is not an address.", hint="Use --url http://127.0.0.1:8000", code=Exit.USAGE)
    settings = read_settings()
    if url is None and settings.port == 0:
        fail("AGENTHOST_PORT is 0, so the host may be on any port.", hint="Use --url http://...", code=Exit.USAGE)
    here = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(settings.host, settings.host)
    # A run answers when it has ended: wait a little longer than the longest.
    return client.Connection(
        url or f"http://{here}:{settings.port}",
        token or _mint(settings),
        settings.limit_wall_seconds + 30,
        signed_in=None if token else settings.data_dir,
    )


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:  # a port that is no number, half an IPv6 address
        return False
