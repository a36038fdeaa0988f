"""`agenthost check`: an agent's source through an engine of this machine, with no host and no database."""

import sys
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import typer

from sandbox.job import Checked, Engine, SandboxUnavailable
from service.agents.check import DEFAULT_ENGINE, WHOLE_PYTHON
from service.app import engines_of
from service.commands.console import Exit, Output, fail, print_json, printable, say
from service.settings import Settings


async def check_source(settings: Settings, file: Path, output: Output) -> Exit:
    """Print what is wrong, a line each, or what the agent takes and uses."""
    source = _read(file, settings.limit_source_bytes)
    try:
        checked = await _checked(engines_of(settings)[DEFAULT_ENGINE], source)
        wanted = checked.metadata.get("engine", DEFAULT_ENGINE)
        if wanted == WHOLE_PYTHON:
            checked = await _checked_in_container(settings, source)
        elif wanted != DEFAULT_ENGINE:
            fail(f"There is no engine {printable(str(wanted))}.", hint=f"Choose {DEFAULT_ENGINE} or {WHOLE_PYTHON}.")
    except SandboxUnavailable as error:
        fail(f"The sandbox cannot be built here: {error}.", hint="agenthost doctor says more.")
    if output is Output.JSON:
        print_json(_document(checked))
    elif checked.problems:
        _print_problems(file, checked)
    else:
        _print_agent(file, checked)
    return Exit.FAILED if checked.problems else Exit.OK


async def _checked(engine: Engine, source: str) -> Checked:
    try:
        await engine.start()
        return await engine.check(source)
    finally:
        await engine.stop()


async def _checked_in_container(settings: Settings, source: str) -> Checked:
    """In one container, beside those of a host that may be running."""
    if not settings.container_pool:
        fail(
            f'The agent\'s engine is "{WHOLE_PYTHON}", which is switched off here.',
            hint="Set AGENTHOST_CONTAINER_POOL=1 to check it with the Docker daemon of DOCKER_HOST.",
        )
    with TemporaryDirectory() as own:
        changed = settings.model_copy(update={"data_dir": Path(own), "container_pool": 1})
        return await _checked(engines_of(changed, patient=True)[WHOLE_PYTHON], source)


def _read(file: Path, limit_bytes: int) -> str:
    try:
        with sys.stdin.buffer if str(file) == "-" else file.open("rb") as opened:
            raw = opened.read(limit_bytes + 1)
    except OSError as error:
        fail(f"{file} cannot be read: {error.strerror}.", code=Exit.USAGE)
    if len(raw) > limit_bytes:
        fail(f"{file} has more than {limit_bytes} bytes, the limit of an agent's source.")
    try:
        return str(raw, "utf-8-sig")
    except UnicodeDecodeError as error:
        fail(f"{file} is not UTF-8 (byte {error.start}).")


def _document(checked: Checked) -> dict[str, Any]:
    return {
        "ok": not checked.problems,
        "errors": [asdict(problem) for problem in checked.problems],
        "entry": checked.entry,
        "description": checked.description,
        "input_schema": checked.input_schema,
        "capabilities": checked.inferred,
    }


def _print_problems(file: Path, checked: Checked) -> None:
    for problem in checked.problems:
        place = f"{file}:{problem.line}:{problem.column + 1}"
        typer.echo(f"{place}: {printable(problem.message)} ({problem.code})")
        if problem.hint:
            say(f"  {printable(problem.hint)}")


def _print_agent(file: Path, checked: Checked) -> None:
    properties = checked.input_schema.get("properties", {})
    typer.echo(f"{file}: ok")
    typer.echo(f"  entry         {checked.entry}")
    typer.echo(f"  input         {', '.join(printable(name) for name in properties) or 'none'}")
    typer.echo(f"  capabilities  {', '.join(printable(name) for name in checked.inferred) or 'none'}")
