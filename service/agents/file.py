"""An agent as one self-contained file: a head of the host's, then its code, to the byte.

The head is a block `# /// agenthost` (description, and what it was synced with), and below it, when the agent has
config beside its code, that config as the `# /// agent` block of a self-contained agent. An empty line ends each.
Reading what was written gives the same agent.
"""

import hashlib
import json
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from service.agents.toml_text import NotToml, toml_lines
from service.capabilities.plain_json import canonical, fault
from service.strict_json import NotJson, parse_json

HEAD: Final = "# /// agenthost"
_CONFIG: Final = "# /// agent"
_END: Final = "# ///"
_HEAD_KEYS: Final = {"description": str, "version": int, "revision": int, "sha256": str, "config_below": bool}


class NotAFile(Exception):
    """It cannot be read as an agent's file, or not be written as one. The message is for its owner."""

    def __init__(self, message: str, line: int = 0) -> None:
        super().__init__(message)
        self.line = line


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What an agent is. `config` has its `code`; a description that is None is not said."""

    description: str | None
    config: Mapping[str, Any]

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(canonical(_numbers_alike([self.description, dict(self.config)]))).hexdigest()

    def same_as(self, other: "Content") -> bool:
        described = self if self.description is not None else Content(description=other.description, config=self.config)
        return described.fingerprint == other.fingerprint


@dataclass(frozen=True, slots=True, kw_only=True)
class Synced:
    """What of the host a file was when it was last written: its version, its revision, and its fingerprint."""

    version: int
    revision: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentFile:
    """A file, read. `synced` is None of one that no host has written; the code begins behind `head_lines` lines."""

    content: Content
    synced: Synced | None
    head_lines: int = 0

    @property
    def edited(self) -> bool:
        """Whether it is something else than what the host wrote."""
        return self.synced is None or self.content.fingerprint != self.synced.sha256


class Standing(Enum):
    """A file and what the host has, compared with what was last synced."""

    NEW = "there is no file"
    SAME = "both are the same"
    BEHIND = "changed on the host"
    AHEAD = "changed in the file"
    BOTH = "changed in the file and on the host"
    FOREIGN = "not a file that came from the host"


def compare(file: AgentFile | None, stored: Content) -> Standing:
    """Where the newer work is."""
    if file is None:
        return Standing.NEW
    if file.content.same_as(stored):
        return Standing.SAME
    if file.synced is None:
        return Standing.FOREIGN
    if not file.edited:
        return Standing.BEHIND
    return Standing.AHEAD if stored.fingerprint == file.synced.sha256 else Standing.BOTH


def written(content: Content, *, version: int, revision: int) -> str:
    """The file of a stored agent. Raises NotAFile for what is no agent made of code."""
    config = dict(content.config)
    code = config.pop("code", None)
    if not isinstance(code, str) or content.description is None:
        raise NotAFile("it is not an agent made of code")
    head: dict[str, Any] = {
        "description": content.description,
        "version": version,
        "revision": revision,
        "sha256": content.fingerprint,
    }
    blocks = [_block(HEAD, toml_lines({**head, "config_below": True} if config else head))]
    if config:
        blocks.append(_block(_CONFIG, _config_lines(config)))
    text = "".join(blocks) + code
    if read(text).content.fingerprint != content.fingerprint:
        raise NotAFile("its config is not one of this host's")
    return text


def read(text: str) -> AgentFile:
    """A file: one of the host's with its head, any other as its code alone. Raises NotAFile for a broken head."""
    lines = text.splitlines(keepends=True) if text.startswith(HEAD) else []
    if not lines or lines[0].rstrip() != HEAD:
        return AgentFile(content=Content(description=None, config={"code": text}), synced=None)
    head, after = _read_block(lines, 0)
    for key, value in head.items():
        if not isinstance(value, _HEAD_KEYS.get(key, ())):
            raise NotAFile(f"the head has no {key!r}, or none of this kind")
    config: dict[str, Any] = {}
    if head.get("config_below"):
        if "".join(lines[after : after + 1]).rstrip() != _CONFIG:
            raise NotAFile(f'the head says that "{_CONFIG}" comes below it, after one empty line', after + 1)
        config, after = _read_block(lines, after)
    if isinstance(fixtures := config.get("fixtures"), str):
        config["fixtures"] = _fixtures_of_text(fixtures)
    if reason := fault(config):  # TOML has dates and infinities
        raise NotAFile(f"the config is not JSON: {reason}")
    content = Content(
        description=head.get("description"),
        config={**config, "code": "".join(lines[after:])},
    )
    return AgentFile(content=content, synced=_synced(head), head_lines=after)


def _fixtures_of_text(text: str) -> Any:
    """Fixtures in TOML may be JSON in a text, because TOML has no null. Raises NotAFile."""
    try:
        return parse_json(text.encode())
    except NotJson as error:
        raise NotAFile(f"fixtures is a text that is not JSON: {error}") from None


def _block(opening: str, lines: Iterator[str]) -> str:
    return "".join([f"{opening}\n", *(f"# {line}\n" for line in lines), f"{_END}\n", "\n"])


def _config_lines(config: Mapping[str, Any]) -> Iterator[str]:
    try:
        lines = list(toml_lines(config))
        if canonical(tomllib.loads("\n".join(lines))) == canonical(config):
            return iter(lines)
    except (NotToml, tomllib.TOMLDecodeError, RecursionError):
        pass
    if "fixtures" not in config or isinstance(config["fixtures"], str):
        raise NotAFile("TOML cannot say its config")
    text = json.dumps(config["fixtures"], ensure_ascii=False)
    return _config_lines({**config, "fixtures": text})


def _read_block(lines: list[str], start: int) -> tuple[dict[str, Any], int]:
    """The TOML of the block that begins with line `start`, and the line behind it and one empty line."""
    toml = []
    for number, line in enumerate(lines[start + 1 :], start + 1):
        line = line.rstrip()
        if line == _END:
            break
        if line != "#" and not line.startswith("# "):
            raise NotAFile(f'a line of the block does not begin with "# ", or there is no "{_END}"', number + 1)
        toml.append(line[2:])
    else:
        raise NotAFile(f'the block has no end "{_END}"', start + 1)
    after = number + 1
    if after < len(lines) and not lines[after].strip():
        after += 1
    try:
        return tomllib.loads("\n".join(toml)), after
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise NotAFile(f"the block is not TOML: {error}", start + 1) from None


def _synced(head: Mapping[str, Any]) -> Synced | None:
    try:
        return Synced(version=head["version"], revision=head["revision"], sha256=head["sha256"])
    except KeyError:
        return None


def _numbers_alike(value: Any) -> Any:
    """Postgres keeps numbers, not how they were written: 1e22 comes back as an integer."""
    if isinstance(value, Mapping):
        return {key: _numbers_alike(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_numbers_alike(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
