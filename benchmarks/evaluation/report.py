"""The page that `make eval` writes."""

from collections.abc import Sequence

from benchmarks.evaluation.evaluate import Evaluated, Verdict
from benchmarks.measure import table

NOT_A_MODEL = (
    "**The answers of this page are scripted.** They stand in for a model's, so that the loop and the judge are tried "
    "without one. Nothing about the quality of any model follows from it; tokens are the host's estimates.\n"
)


def report(evaluated: Sequence[Evaluated], *, provider: str, model: str, date: str, scripted: bool) -> str:
    """Markdown. What is scripted is said first."""
    counts = {verdict: sum(each.verdict is verdict for each in evaluated) for verdict in Verdict}
    tokens = [sum(each.input_tokens for each in evaluated), sum(each.output_tokens for each in evaluated)]
    parts = [
        "# Results of `make eval`\n",
        *([NOT_A_MODEL] if scripted else []),
        f"Provider: {provider}. Model: `{model}`. Date: {date}.\n",
        f"Of {len(evaluated)} descriptions {counts[Verdict.FIRST]} became a right agent at the first attempt, "
        f"{counts[Verdict.REPAIRED]} after repair, {counts[Verdict.FAILED]} failed, and {counts[Verdict.NOT_MEASURED]} "
        f"could not be measured. Tokens: {tokens[0]} in, {tokens[1]} out. "
        f"Seconds: {sum(each.seconds for each in evaluated):.1f}.\n",
        "An agent is right when each of its cases, a dry run in the sandbox with an input and fixtures of its own, "
        "gives the expected output, has the expected effects, and has no others that act. An attempt is what the loop "
        "counts: an answer of the model that was checked and dry-run. The descriptions and their cases are in "
        "`benchmarks/evaluation/descriptions`.\n",
        table(
            ("description", "result", "attempts", "cases", "tokens in", "tokens out", "seconds"),
            [_row(each) for each in evaluated],
        ),
    ]
    if failed := [each for each in evaluated if each.reason]:
        parts += ["## Why\n", *(f"- `{each.name}`: {_plain(each.reason)}" for each in failed), ""]
    return "\n".join(parts)


def _row(each: Evaluated) -> tuple[str, ...]:
    cases = f"{each.passed} of {each.cases}"
    counted = (str(each.attempts), cases, str(each.input_tokens), str(each.output_tokens), f"{each.seconds:.1f}")
    return (f"`{each.name}`", each.verdict, *counted)


def _plain(text: str) -> str:
    """One line that no markdown of an agent's steers."""
    return "`" + " ".join(text.replace("`", "'").split()) + "`"
