"""`agenthost pull` and `agenthost push`: agents between a host and files; newer work is not overwritten unasked.

Exit code 0 says that afterwards every agent that was meant is the same in its file and on the host.
"""

import os
import re
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import quote
from uuid import UUID

import typer

from service.agents.directory import MAX_FILE_BYTES, AgentDirectory, replace_file
from service.agents.file import AgentFile, Content, NotAFile, Standing, Synced, compare, read, written
from service.agents.models import NAME_PATTERN
from service.capabilities.plain_json import canonical
from service.commands.agents import all_agents
from service.commands.client import Connection
from service.commands.console import Exit, Output, fail, fail_with_problem, print_json, printable, say
from service.commands.grants import say_grants

_CHANGED_MEANWHILE: Final = (409, 412)


class FileRefused(Exception):
    """One agent is left as it is, on both sides. The message names both."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """An agent as the host has it."""

    content: Content
    version: int
    revision: int
    capabilities: Mapping[str, Any]
    proposed: Mapping[str, Any]

    def text(self) -> str:
        return written(self.content, version=self.version, revision=self.revision)


@dataclass(frozen=True, slots=True)
class Done:
    """What became of one agent; of one that was refused, why; of one that was pushed, how the host has it now."""

    agent_name: str
    file: str
    did: Literal["pulled", "pushed", "unchanged", "refused"]
    reason: str = ""
    stored: Stored | None = None

    def document(self) -> dict[str, Any]:
        told = {"agent_name": self.agent_name, "file": self.file, "did": self.did, "reason": self.reason}
        of = self.stored
        return told if of is None else {**told, "capabilities": of.capabilities, "proposed": of.proposed}


@dataclass(frozen=True, slots=True, kw_only=True)
class Local:
    """A file of the user's, read."""

    name: str
    path: Path
    raw: bytes
    file: AgentFile


def pull(host: Connection, root: Path, name: str | None, *, force: bool, output: Output) -> Exit:
    """Write the user's agents, or one of them, below `root`."""
    try:
        user_id = UUID(host.user_id)
    except ValueError:
        fail("That is not a token of a user.", code=Exit.USAGE)
    directory = AgentDirectory(root)
    done = []
    for each in [str(agent["agent_name"]) for agent in all_agents(host, output)] if name is None else [name]:
        if not re.fullmatch(NAME_PATTERN, each):
            fail(f"{printable(each)!r} is no name of an agent.", code=Exit.USAGE if each == name else Exit.FAILED)
        done.append(_pulled(host, directory, user_id, each, force=force, output=output))
    return _told(done, output)


def push(host: Connection, paths: Sequence[Path], *, force: bool, output: Output) -> Exit:
    """Send files. Nothing is sent unless all of them can be read."""
    return _told([_pushed(host, each, force=force, output=output) for each in [_local(path) for path in paths]], output)


def _pulled(
    host: Connection, directory: AgentDirectory, user_id: UUID, name: str, *, force: bool, output: Output
) -> Done:
    path = directory.path(user_id, name)
    try:
        stored = _stored(host, name, output)
        if stored is None:
            raise FileRefused(f"You have no agent named {name!r} on the host.")
        text = stored.text()
        there = directory.read(user_id, name)
        if there == text:
            return Done(name, str(path), "unchanged")
        if not force:
            _require_not_newer(name, path, None if there is None else read(there), stored)
        directory.write(user_id, name, text)
        return Done(name, str(path), "pulled")
    except FileRefused as error:
        return Done(name, str(path), "refused", str(error))
    except NotAFile as error:
        return Done(name, str(path), "refused", f"{name} and {path}: {error}")
    except (OSError, UnicodeDecodeError) as error:
        return Done(name, str(path), "refused", f"{path}: {_reason(error)}.")


def _require_not_newer(name: str, path: Path, there: AgentFile | None, stored: Stored) -> None:
    match compare(there, stored.content):
        case Standing.AHEAD:
            raise FileRefused(
                f"{path} has changes that the host has not. agenthost push {path} sends them, pull --force drops them."
            )
        case Standing.BOTH | Standing.FOREIGN as standing:
            raise FileRefused(_on_both_sides(name, path, standing, there.synced if there else None, stored))


def _pushed(host: Connection, local: Local, *, force: bool, output: Output) -> Done:
    try:
        stored = _stored(host, local.name, output)
        if stored is None:
            answered = _defined(host, local, force=force)
        elif compare(local.file, stored.content) is Standing.SAME:
            _write(local, stored)
            return Done(local.name, str(local.path), "unchanged", stored=stored)
        else:
            answered = _changed(host, local, stored, force=force)
        _write(local, answered)
        return Done(local.name, str(local.path), "pushed", stored=answered)
    except FileRefused as error:
        return Done(local.name, str(local.path), "refused", str(error))
    except NotAFile as error:
        return Done(local.name, str(local.path), "refused", f"{local.name} on the host: {error}")


def _defined(host: Connection, local: Local, *, force: bool) -> Stored:
    if local.file.synced is not None and not force:
        since = local.file.synced.revision
        raise FileRefused(
            f"{local.path} is of revision {since} of {local.name}, which is not on the host any more. "
            "push --force defines it again."
        )
    body: dict[str, Any] = {"agent_name": local.name, "agent_config": dict(local.file.content.config)}
    if local.file.content.description is not None:
        body["description"] = local.file.content.description
    status, document = host.ask("POST", "/agents", body=body)
    if status != 201:
        raise _problem(local, document)
    return _stored_of(document)


def _changed(host: Connection, local: Local, stored: Stored, *, force: bool) -> Stored:
    standing, synced = compare(local.file, stored.content), local.file.synced
    if standing is Standing.BEHIND and synced and not force:
        raise FileRefused(
            f"{local.name} was changed on the host, now revision {stored.revision}; {local.path} is of revision "
            f"{synced.revision}. agenthost pull {local.name} takes the host's, push --force sets it back."
        )
    if standing is not Standing.AHEAD and not force:
        raise FileRefused(_on_both_sides(local.name, local.path, standing, synced, stored))
    path = f"/agents/{quote(local.name, safe='')}"
    body = _changes(local.file.content, stored.content)
    status, document = host.ask("PATCH", path, body=body, if_match=f'"{stored.revision}"')
    if status in _CHANGED_MEANWHILE:
        raise FileRefused(f"{local.name} is being changed on the host at this moment; {local.path} was not sent.")
    if status != 200:
        raise _problem(local, document)
    return _stored_of(document)


def _changes(wanted: Content, stored: Content) -> dict[str, Any]:
    """The body of a PATCH: what is the same stays unsaid, so that code nobody has changed stays the model's."""
    config: dict[str, Any] = {
        key: value
        for key, value in wanted.config.items()
        if key not in stored.config or canonical(value) != canonical(stored.config[key])
    }
    config |= {key: None for key in stored.config if key not in wanted.config}
    changes: dict[str, Any] = {"agent_config": config} if config else {}
    if wanted.description is not None and wanted.description != stored.description:
        changes["description"] = wanted.description
    return changes


def _on_both_sides(name: str, path: Path, standing: Standing, synced: Synced | None, stored: Stored) -> str:
    on_host = f"the host has revision {stored.revision}"
    what = (
        f"{name} was changed on both sides since revision {synced.revision}: in {path}, and {on_host}."
        if standing is Standing.BOTH and synced
        else f"{path} does not come from the host, and {on_host} of {name}, which is another."
    )
    return f"{what} pull --force takes the host's, push --force the file's."


def _stored(host: Connection, name: str, output: Output) -> Stored | None:
    status, document = host.get(f"/agents/{quote(name, safe='')}")
    if status == 404 and document.get("code") == "agent_not_found":
        return None
    if status != 200:
        fail_with_problem(document, output)
    return _stored_of(document)


def _stored_of(document: Mapping[str, Any]) -> Stored:
    """Raises NotAFile for an agent that is not made of code."""
    config, description = document.get("agent_config"), document.get("description")
    version, revision = document.get("version"), document.get("revision")
    if isinstance(config, str):
        config = {"code": config}
    if not isinstance(config, dict) or not isinstance(description, str):
        raise NotAFile("what the host has is not made of code")
    if not isinstance(version, int) or not isinstance(revision, int):
        raise NotAFile("what the host answers is no agent")
    content = Content(description=description, config=config)
    may, proposed = document.get("capabilities"), document.get("proposed")
    return Stored(content=content, version=version, revision=revision, capabilities=may or {}, proposed=proposed or {})


def _local(path: Path) -> Local:
    name = path.name.removesuffix(".py")
    if path.suffix != ".py" or not re.fullmatch(NAME_PATTERN, name):
        hint = "The file name must be an agent name plus .py: digest.py, in lower case."
        fail(f"{path} is no file of an agent.", hint=hint, code=Exit.USAGE)
    try:
        with path.open("rb") as opened:
            raw = opened.read(MAX_FILE_BYTES + 1)
        if len(raw) > MAX_FILE_BYTES:
            fail(f"{path} has more than {MAX_FILE_BYTES} bytes.", code=Exit.USAGE)
        return Local(name=name, path=path, raw=raw, file=read(raw.decode("utf-8-sig")))
    except (OSError, UnicodeDecodeError) as error:
        fail(f"{path} cannot be read: {_reason(error)}.", code=Exit.USAGE)
    except NotAFile as error:
        fail(f"{path}:{error.line or 1}: {error}.", code=Exit.USAGE)


def _write(local: Local, stored: Stored) -> None:
    """The file as the host now has it, with what it was synced with; not where somebody has gone on writing."""
    text, path = stored.text(), local.path.resolve()
    try:
        if text.encode() == local.raw or path.read_bytes() != local.raw:
            return
        directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            replace_file(directory, path.name, text, mode=stat.S_IMODE(path.stat().st_mode))
        finally:
            os.close(directory)
    except OSError as error:
        raise FileRefused(f"It was pushed, but {local.path} could not be written: {_reason(error)}.") from None


def _problem(local: Local, document: Mapping[str, Any]) -> FileRefused:
    """A problem document; the lines of code as they are in the file."""
    said = []
    for each in document.get("errors") or ():
        if line := each.get("line"):
            where = f"{local.path}:{line + local.file.head_lines}:{each.get('column', 0) + 1}"
        else:
            where = str(each.get("pointer") or local.path)
        said.append(f"{where}: {each.get('message', '')}. {each.get('hint', '')}".rstrip())
    detail = f"{document.get('detail', 'the host gave no reason')} ({document.get('code', 'unknown')})"
    return FileRefused("\n  ".join([f"{local.path}: {detail}", *said]))


def _reason(error: OSError | UnicodeDecodeError) -> str:
    return "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else error.strerror or str(error)


def _told(done: Sequence[Done], output: Output) -> Exit:
    if output is Output.JSON:
        print_json({"data": [each.document() for each in done]})
    for each in done if output is Output.TEXT else ():
        if each.did != "refused":
            typer.echo(f"{each.did:<9} {each.file}")
            if each.stored is not None:
                say_grants(each.stored.capabilities, each.stored.proposed, each.agent_name)
        else:
            say(f"{typer.style('refused', fg='red')}   {printable(each.reason)}")
    return Exit.FAILED if any(each.did == "refused" for each in done) else Exit.OK
