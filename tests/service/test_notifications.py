"""What an agent tells its owner can be read, marked as read, and by nobody else."""

from typing import Any
from uuid import uuid4

import pytest

from tests.service.conftest import User

TELLER = "def run(title: str, services=None):\n    return services.notify.send(title, 'content of ' + title)\n"


async def told(user: User, *titles: str) -> list[str]:
    """Ids of notifications, one for each title."""
    await user.define("teller", TELLER)
    answers = [(await user.run("teller", title=title)).json() for title in titles]
    return [answer["output"]["id"] for answer in answers]


async def listed(user: User, **query: Any) -> list[str]:
    answer = await user.http.get("/notifications", params=query)
    assert answer.status_code == 200, answer.text
    return [each["title"] for each in answer.json()["data"]]


async def test_what_an_agent_tells_is_listed_newest_first_and_page_by_page(ada: User) -> None:
    ids = await told(ada, "one", "two", "three")
    first = (await ada.http.get("/notifications", params={"limit": 2})).json()
    assert [each["notification_id"] for each in first["data"]] == [ids[2], ids[1]]
    rest = (await ada.http.get("/notifications", params={"limit": 2, "cursor": first["next_cursor"]})).json()
    assert ([each["title"] for each in rest["data"]], rest["next_cursor"]) == (["one"], None)
    [one] = rest["data"]
    [run] = [run for run in await ada.listed(at_least=3) if run["run_id"] == one["run_id"]]
    assert run["agent"]["agent_name"] == "teller"
    assert (one["content"], one["type"], one["priority"], one["actions"], one["read"]) == (
        *("content of one", "info", "normal"),
        *([], False),
    )


async def test_a_dry_run_tells_nobody(ada: User) -> None:
    await told(ada, "one")
    await ada.run("teller", title="dry", test="true")
    assert await listed(ada) == ["one"]


async def test_one_that_was_read_is_left_out_where_that_is_asked(ada: User) -> None:
    one, _ = await told(ada, "one", "two")
    answer = await ada.http.patch(f"/notifications/{one}", json={"read": True})
    assert (answer.status_code, answer.json()["title"], answer.json()["read"]) == (200, "one", True)
    assert (await listed(ada, read="false"), await listed(ada, read="true")) == (["two"], ["one"])
    assert (await ada.http.patch(f"/notifications/{one}", json={"read": False})).json()["read"] is False
    assert await listed(ada, read="false") == ["two", "one"]


async def test_nobody_sees_or_marks_those_of_another(ada: User, eve: User) -> None:
    [one] = await told(ada, "one")
    assert await listed(eve) == []
    assert await listed(eve, cursor=str(uuid4())) == []
    stolen = await eve.http.patch(f"/notifications/{one}", json={"read": True})
    absent = await eve.http.patch(f"/notifications/{uuid4()}", json={"read": True})
    assert (stolen.status_code, stolen.json()["code"]) == (404, "notification_not_found")
    assert stolen.json()["detail"] == absent.json()["detail"]
    assert await listed(ada, read="false") == ["one"]


@pytest.mark.parametrize("body", [{}, {"read": 1}, {"read": None}, {"read": True, "title": "x"}, [], "read"])
async def test_nothing_else_of_one_can_be_changed(ada: User, body: Any) -> None:
    [one] = await told(ada, "one")
    answer = await ada.http.patch(f"/notifications/{one}", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed")
    assert await listed(ada, read="false") == ["one"]


@pytest.mark.parametrize("query", [{"read": "no"}, {"limit": "0"}, {"cursor": "x"}, {"unread": "true"}])
async def test_a_query_that_makes_no_sense_is_refused(ada: User, query: dict[str, str]) -> None:
    assert (await ada.http.get("/notifications", params=query)).status_code == 422
    assert (await ada.http.patch("/notifications/x", json={"read": True})).status_code == 404


async def test_a_row_written_past_the_host_is_shown_plain(ada: User, local_host: Any) -> None:
    row = {"title": "\ud7ff\uffff", "type": "anything", "actions": [1, {"a": None}]}
    await local_host.host.database.insert(ada.caller, "agent_notifications", [row])
    [shown] = (await ada.http.get("/notifications")).json()["data"]
    assert (shown["type"], shown["actions"], shown["agent_id"], shown["run_id"]) == (
        *("anything", [1, {"a": None}]),
        *(None, None),
    )
