"""Content negotiation: what is asked for by name and preferred, and in every doubt the usual answer."""

import pytest

from service.accept import prefers

EVENTS = "text/event-stream"


@pytest.mark.parametrize(
    "accept",
    [
        [EVENTS],
        ["Text/Event-Stream"],
        [" text/event-stream ; charset=utf-8 "],
        ["text/event-stream;q=0.001"],
        ["text/event-stream, application/json;q=0.9"],
        ["application/json;q=0.5, text/event-stream;q=0.501"],
        ["application/json;Q=0", "text/event-stream;Q=1.000"],
        ["text/html, text/event-stream"],
        ["text/event-stream, */*"],
        ["text/event-stream, application/*"],
        ["text/event-stream, */*;q=0.1"],
        ["*/*, application/json;q=0.1, text/event-stream;q=0.2"],
    ],
)
def test_what_is_named_and_preferred_is_given(accept: list[str]) -> None:
    assert prefers(accept, EVENTS, to="application/json")


@pytest.mark.parametrize(
    "accept",
    [
        [],
        [""],
        [",;,q=1"],
        ["*/*"],
        ["text/*"],
        ["application/json"],
        ["text/html"],
        ["text/event-streams"],
        ["x-text/event-stream"],
        ["text/event-stream;q=0"],
        ["text/event-stream;q=0.000"],
        ["text/event-stream;q=0, */*"],
        ["application/json, text/event-stream"],
        ["text/event-stream", "application/json"],
        ["text/event-stream;q=0.9, application/json"],
        ["text/event-stream;q=0.5, application/*;q=0.8"],
        ["text/event-stream;q=0.5, */*;q=0.8"],
        ["text/event-stream;q=2"],
        ["text/event-stream;q=-1"],
        ["text/event-stream;q=1.5"],
        ["text/event-stream;q=0.1234"],
        ["text/event-stream;q=nan"],
        ["text/event-stream;q="],
        ["text/event-stream;q"],
        ["text/event-stream;q = 1"],
        ["text/event-stream;q=\N{FULLWIDTH DIGIT ONE}"],
        ["application/json" + ",;" * 50_000],
    ],
)
def test_a_doubt_is_the_usual_answer(accept: list[str]) -> None:
    assert not prefers(accept, EVENTS, to="application/json")
