"""`python -m benchmarks.evaluation [--scripted]`: evaluate the configured provider, write benchmarks/EVAL.md.

Exit code 1: something could not be measured. 2: no provider is configured. With --scripted the answers are those of
`scripted/`, over the wire like any.
"""

import argparse
import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import httpx

from benchmarks.evaluation.descriptions import Description, descriptions, scripted_answers
from benchmarks.evaluation.evaluate import Evaluated, Verdict, evaluate
from benchmarks.evaluation.report import report
from benchmarks.host import running_host
from service.local import DEMO_USER_ID
from service.settings import Settings, SettingsError, read_settings
from tests.service.scripted_provider import READY, answer, said, scripted

PAGE: Final = Path(__file__).parents[1] / "EVAL.md"
NOT_CONFIGURED: Final = (
    "No model provider is configured: set OPENAI_MODEL and OPENAI_API_KEY, and OPENAI_BASE_URL for one that is not "
    "OpenAI; or say --scripted."
)
PASSED_ON: Final = ("OPENAI_", "AGENTHOST_GENERATION_", "AGENTHOST_LIMIT_")
SCRIPTED_MODEL: Final = "scripted"
SCRIPTED_USAGE: Final = {"input_tokens": 0, "output_tokens": 0}


@dataclass(frozen=True, slots=True)
class Provider:
    """Who answers, and the environment of a host that asks there."""

    name: str
    model: str
    environment: dict[str, str]


def main() -> int:
    arguments = argparse.ArgumentParser(prog="make eval", description=__doc__)
    arguments.add_argument("--scripted", action="store_true", help="scripted answers instead of a provider's")
    arguments.add_argument("--only", metavar="NAME", help="one description, whose page is printed")
    arguments.add_argument("--output", type=Path, help="another page than benchmarks/EVAL.md")
    given = arguments.parse_args()
    asked = [each for each in descriptions() if given.only in (None, each.name)]
    try:
        settings = read_settings()
    except SettingsError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    if not asked or (settings.openai_model is None and not given.scripted):
        print(NOT_CONFIGURED if asked else f"There is no description {given.only!r}.", file=sys.stderr)
        return 2
    evaluated, text = asyncio.run(_evaluated(settings, asked, is_scripted=given.scripted))
    if given.only and not given.output:
        print(text)
    else:
        output = given.output or PAGE
        output.write_text(text)
        print(f"written: {output}", file=sys.stderr)
    return 1 if any(each.verdict is Verdict.NOT_MEASURED for each in evaluated) else 0


async def _evaluated(settings: Settings, asked: list[Description], *, is_scripted: bool) -> tuple[list[Evaluated], str]:
    """What became of each, and the page."""
    evaluated = []
    async with _scripted(asked) if is_scripted else _configured(settings) as provider:
        with running_host(**provider.environment) as host:
            headers = {"Authorization": f"Bearer {host.token}"}
            seconds = settings.limit_generation_seconds + 60
            async with httpx.AsyncClient(base_url=host.address, headers=headers, timeout=seconds) as http:
                async for each in evaluate(http, str(DEMO_USER_ID), asked):
                    print(f"{each.name}: {each.verdict} {each.reason}".rstrip(), file=sys.stderr)
                    evaluated.append(each)
        date = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
        text = report(evaluated, provider=provider.name, model=provider.model, date=date, scripted=is_scripted)
    return evaluated, text


@asynccontextmanager
async def _configured(settings: Settings) -> AsyncIterator[Provider]:
    passed_on = {name: value for name, value in os.environ.items() if name.startswith(PASSED_ON)}
    name = urlsplit(settings.openai_base_url).hostname if settings.openai_base_url else "OpenAI"
    yield Provider(name or "", settings.openai_model or "", passed_on)


@asynccontextmanager
async def _scripted(asked: list[Description]) -> AsyncIterator[Provider]:
    answers = [
        {"code": each.code, "summary": "", "example_input_json": json.dumps(each.example_input)}
        for description in asked
        for each in scripted_answers(description.name)
    ]
    told = [answer(said(json.dumps(each), usage=SCRIPTED_USAGE)) for each in answers]
    async with scripted(READY, *told) as provider:
        environment = {"OPENAI_BASE_URL": provider.url, "OPENAI_API_KEY": "none", "OPENAI_MODEL": SCRIPTED_MODEL}
        yield Provider("scripted answers, over the wire", SCRIPTED_MODEL, environment)


if __name__ == "__main__":
    sys.exit(main())
