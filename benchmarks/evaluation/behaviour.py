"""Whether a dry run showed the behaviour that a case asks for."""

from collections.abc import Mapping
from typing import Any, Final

from benchmarks.evaluation.descriptions import Case
from benchmarks.evaluation.patterns import fault, left_over, shown

READS: Final = {("kv", "get"), ("kv", "list"), ("db", "select"), ("secrets", "ref"), ("llm", "complete")}
FAILURES: Final = {"agent_error", "invalid_input"}


def wrong(case: Case, run: Mapping[str, Any]) -> str | None:
    """What is wrong with a run, or with the problem document of one that failed; None when it is right."""
    failed = run.get("status") != "succeeded"
    if case.fails and run.get("code") in FAILURES:
        return None
    if case.fails or failed:
        happened = (
            f"it fails: {run.get('code')}: {run.get('detail')}" if failed else f"it answers {shown(run['output'])}"
        )
        return f"{happened}, and should fail by itself" if case.fails else happened
    if reason := fault(case.output, run["output"]):
        return reason
    return _wrong_effects(case, run["effects"])


def _wrong_effects(case: Case, effects: list[dict[str, Any]]) -> str | None:
    """Every wanted effect must be there once, granted; and nothing else may act."""
    if denied := next((each for each in effects if not each["granted"]), None):
        return f"{_called(denied)} is not granted"
    missing, left = left_over([_wanted(each) for each in case.effects], effects)
    if missing:
        return f"there is no effect {shown(missing[0])}; there are: {', '.join(map(_called, effects)) or 'none'}"
    if acting := next((each for each in left if _acts(each)), None):
        return f"it also calls {_called(acting)}"
    return None


def _wanted(effect: Mapping[str, Any]) -> dict[str, Any]:
    """{"service", "action", "args"} says what an effect has at least, and so do the alternatives of "$one_of"."""
    if "$one_of" in effect:
        return {"$one_of": [_wanted(each) for each in effect["$one_of"]]}
    return {"$has": {**effect, "args": {"$has": effect.get("args", {})}}}


def _acts(effect: Mapping[str, Any]) -> bool:
    reads = effect["service"] == "http" and effect["args"].get("method", "GET").upper() in ("GET", "HEAD")
    return not reads and (effect["service"], effect["action"]) not in READS


def _called(effect: Mapping[str, Any]) -> str:
    return f"{effect['service']}.{effect['action']}({shown(effect['args'])})"
