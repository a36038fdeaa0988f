"""From each description to an agent, through a real host and its loop, and on to the agent's dry runs in the jail."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import httpx

from benchmarks.evaluation.behaviour import wrong
from benchmarks.evaluation.descriptions import Case, Description


class Verdict(StrEnum):
    FIRST = "first attempt"
    REPAIRED = "after repair"
    FAILED = "failed"
    NOT_MEASURED = "not measured"
    """The provider or the host did not do its part: that says nothing of the model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluated:
    """What became of a description. `reason` says why it failed; attempts and tokens are 0 where nobody knows them."""

    name: str
    verdict: Verdict
    attempts: int
    cases: int
    passed: int
    input_tokens: int
    output_tokens: int
    seconds: float
    reason: str = ""


async def evaluate(
    http: httpx.AsyncClient, user_id: str, descriptions: Sequence[Description]
) -> AsyncIterator[Evaluated]:
    """One after the other, with a client that signs in as a user of the host."""
    for description in descriptions:
        answer = await http.post("/agents/generate", json={"description": description.text})
        document = answer.json()
        wrongs: list[str | None] = [_not_written(document)]
        if answer.status_code == httpx.codes.OK:
            code = document["agent_config"]["code"]
            await _keep_secrets(http, description.secrets)
            wrongs = [
                await _tried(http, user_id, f"{description.name}_{number}", code, case)
                for number, case in enumerate(description.cases, 1)
            ]
        yield _evaluated(description, document.get("generation") or {}, wrongs)


def _evaluated(description: Description, generation: Mapping[str, Any], wrongs: Sequence[str | None]) -> Evaluated:
    attempts = generation.get("attempts", 0)
    faults = [reason for reason in wrongs if reason is not None]
    tokens = generation.get("tokens", {})
    return Evaluated(
        name=description.name,
        verdict=_verdict(attempts, right=not faults),
        attempts=attempts,
        cases=len(description.cases),
        passed=sum(reason is None for reason in wrongs),
        input_tokens=tokens.get("input", 0),
        output_tokens=tokens.get("output", 0),
        seconds=generation.get("seconds", 0.0),
        reason=faults[0] if faults else "",
    )


def _verdict(attempts: int, *, right: bool) -> Verdict:
    if attempts == 0:
        return Verdict.NOT_MEASURED
    if not right:
        return Verdict.FAILED
    return Verdict.FIRST if attempts == 1 else Verdict.REPAIRED


def _not_written(document: Mapping[str, Any]) -> str:
    return f"no agent: {document.get('code')}: {document.get('detail')}"


async def _keep_secrets(http: httpx.AsyncClient, secrets: Mapping[str, Sequence[str]]) -> None:
    for name, hosts in secrets.items():
        kept = await http.put(f"/secrets/{name}", json={"value": "a-value-for-tests", "hosts": list(hosts)})
        kept.raise_for_status()


async def _tried(http: httpx.AsyncClient, user_id: str, name: str, code: str, case: Case) -> str | None:
    """The code as an agent of its own with the case's fixtures, as its owner would accept it, run dry once."""
    config = {"code": code, "fixtures": case.fixtures} if case.fixtures else {"code": code}
    defined = await http.post("/agents", json={"agent_name": name, "description": "", "agent_config": config})
    if defined.status_code != httpx.codes.CREATED:
        return f"it cannot be defined: {defined.json().get('detail')}"
    run = await http.post(f"/agents/{user_id}/{name}", params={"test": "true"}, json=case.input)
    return wrong(case, run.json())
