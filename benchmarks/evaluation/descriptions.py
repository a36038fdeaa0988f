"""The descriptions and what a right agent does, read from TOML: data, so that whoever judges runs nothing of theirs."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

DIRECTORY: Final = Path(__file__).with_name("descriptions")
SCRIPTED: Final = Path(__file__).with_name("scripted")


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Case(_Closed):
    """One dry run: its input and fixtures, and what must come of it. `effects` are all that act, in any order."""

    input: dict[str, Any] = {}
    fixtures: dict[str, Any] = {}
    output: Any = None
    effects: list[dict[str, Any]] = []
    fails: bool = False
    """A right agent raises, or its signature refuses the input; then there is no output."""


class Description(_Closed):
    """What is asked of the model. `secrets` are there for the agent, by name with their hosts."""

    name: str
    text: str = Field(alias="description")
    secrets: dict[str, list[str]] = {}
    cases: list[Case] = Field(min_length=2)


@dataclass(frozen=True, slots=True)
class Scripted:
    """An answer that stands in for a model's."""

    code: str
    example_input: Mapping[str, Any]


def descriptions(directory: Path = DIRECTORY) -> list[Description]:
    """All of them, by name."""
    return [
        Description.model_validate({"name": path.stem, **tomllib.loads(path.read_text())})
        for path in sorted(directory.glob("*.toml"))
    ]


def scripted_answers(name: str, directory: Path = SCRIPTED) -> list[Scripted]:
    """The answers to one description, one an attempt."""
    answers = tomllib.loads(directory.joinpath(f"{name}.toml").read_text())["answers"]
    return [Scripted(each["code"], each.get("example_input", {})) for each in answers]
