"""An agent's file says all that the agent is: what was written is read back as the same, whatever it holds."""

import ast
import tomllib
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sandbox.guest.metadata import read_metadata
from service.agents.file import HEAD, AgentFile, Content, NotAFile, Standing, compare, read, written
from service.agents.models import AgentConfig, BlockOptions, parsed
from service.agents.toml_text import toml_lines
from service.capabilities.plain_json import canonical

CODE = '"""Greets."""\n\n\ndef run(name: str = "World"):\n    return f"Hello, {name}"\n'
BLOCK = '# /// agent\n# [capabilities.http]\n# hosts = ["api.example.com"]\n# ///\n'
HOSTILE = [
    "",
    "\n",
    "\r\n",
    "quotes \" and ' and \"\"\" and ''' and \\",
    "# ///\n# /// agent\n# ///\n",
    "a\r\nb\rc\nd\x0be\x0cf\x85g\u2028h\u2029i",
    "\x01\x1b[31m\x7f\ufeff\u202e",
    "Grüße, 日本語, 🙂",
    "trailing space \t ",
    "= [x]\n[[y]]\n#",
    "true",
]
texts = st.one_of(st.sampled_from(HOSTILE), st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), texts)
json_values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(texts, inner, max_size=4)),
    max_leaves=12,
)
codes = st.one_of(
    st.sampled_from(
        [
            CODE,
            CODE.rstrip("\n"),
            CODE.replace("\n", "\r\n"),
            BLOCK + CODE,
            HEAD + "\n# version = 9\n# ///\n\n" + CODE,
            f'"""Looks like one:\n{BLOCK}"""\n{CODE}',
            f"TEXT = '''\n{HEAD}\n{BLOCK}'''\n{CODE}",
            "\n\n" + CODE,
            "\ufeff" + CODE,
            "#!/usr/bin/env python\n# coding: latin-1\n" + CODE,
        ]
    ),
    texts,
)
header_values = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), max_size=50)
fixtures = st.fixed_dictionaries(
    {},
    optional={
        "http": st.lists(
            st.fixed_dictionaries(
                {"url": st.just("https://api.example.com/*")},
                optional={"json": json_values, "headers": st.dictionaries(texts, header_values, max_size=3)},
            ),
            max_size=3,
        ),
        "llm": st.lists(
            st.fixed_dictionaries({"answer": st.one_of(texts, st.dictionaries(texts, json_values, max_size=3))}),
            max_size=3,
        ),
    },
)
capabilities = st.fixed_dictionaries(
    {},
    optional={
        "kv": st.just({}),
        "http": st.fixed_dictionaries({"hosts": st.lists(st.sampled_from(["a.example", "*.b.example:8443"]))}),
        "db": st.fixed_dictionaries(
            {"tables": st.dictionaries(st.sampled_from(["leads", "x_1"]), st.just(["select"]))}
        ),
        "llm": st.fixed_dictionaries({}, optional={"max_tokens_per_run": st.integers(1, 10**6)}),
    },
)
limits = st.fixed_dictionaries(
    {}, optional={"wall_seconds": st.one_of(st.integers(1, 30), st.floats(0.01, 30)), "effects": st.integers(1, 200)}
)
configs = st.fixed_dictionaries(
    {"code": codes},
    optional={
        "engine": st.just("restricted"),
        "capabilities": capabilities,
        "limits": limits,
        "fixtures": fixtures,
    },
)


def content(description: str = "Greets.", **config: Any) -> Content:
    return Content(description=description, config={"code": CODE, **config})


def file_of(of: Content, revision: int = 3) -> AgentFile:
    return read(written(of, version=2, revision=revision))


@settings(max_examples=400, deadline=None)
@given(description=texts, config=configs)
@example(description="", config={"code": ""})
@example(description="x", config={"code": BLOCK + CODE, "capabilities": {"kv": {}}})
@example(description="x", config={"code": CODE, "fixtures": {"http": [{"url": "https://a.example/", "json": None}]}})
def test_a_file_is_read_back_as_the_same_agent(description: str, config: dict[str, Any]) -> None:
    config = parsed(AgentConfig, config).model_dump(mode="json", exclude_none=True)
    text = written(Content(description=description, config=config), version=7, revision=9)
    found = read(text.encode().decode())
    assert found.content.description == description
    assert found.content.config["code"] == config["code"]
    assert canonical(found.content.config) == canonical(config)
    assert found.synced is not None
    assert (found.synced.version, found.synced.revision, found.edited) == (7, 9, False)
    assert "".join(text.splitlines(keepends=True)[found.head_lines :]) == config["code"]


@settings(max_examples=200, deadline=None)
@given(config=configs.filter(lambda config: config["code"] == CODE))
def test_a_host_that_is_given_the_file_as_code_finds_the_same_config(config: dict[str, Any]) -> None:
    config = parsed(AgentConfig, config).model_dump(mode="json", exclude_none=True)
    text = written(Content(description="Greets.", config=config), version=1, revision=1)
    metadata, problems = read_metadata(text, ast.parse(text))
    assert problems == []
    options = parsed(BlockOptions, metadata).model_dump(mode="json", exclude_none=True)
    assert canonical({"code": CODE, **options}) == canonical(config)


@settings(max_examples=300, deadline=None)
@given(table=st.dictionaries(texts, json_values, max_size=5))
def test_what_toml_says_is_what_was_given(table: dict[str, Any]) -> None:
    try:
        lines = list(toml_lines(table))
    except ValueError:
        assert "null" in canonical(table).decode()
        return
    assert canonical(tomllib.loads("\n".join(lines))) == canonical(table)


def test_a_file_looks_as_its_reader_expects() -> None:
    text = written(content(capabilities={"http": {"hosts": ["api.example.com"]}}), version=2, revision=3)
    head, config, rest = text.split("\n\n", 2)
    assert head.splitlines()[:4] == [HEAD, '# description = "Greets."', "# version = 2", "# revision = 3"]
    assert config == BLOCK.rstrip()
    assert rest == CODE


def test_the_code_may_have_a_block_of_its_own_beside_a_config() -> None:
    both = content(code=BLOCK + CODE, capabilities={"kv": {}})
    assert file_of(both).content.same_as(both)


def test_a_file_of_anybody_is_code() -> None:
    for text in (CODE, BLOCK + CODE, "", f"\n{HEAD}\n{CODE}", HEAD + "s\n" + CODE):
        found = read(text)
        assert (found.content.config, found.content.description, found.synced) == ({"code": text}, None, None)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"{HEAD}\n", "no end"),
        (f"{HEAD}\n# version = 1\nrun = 1\n", "does not begin"),
        (f"{HEAD}\n# version =\n# ///\n\n{CODE}", "not TOML"),
        (f"{HEAD}\n# config_below = true\n# ///\n\n{CODE}", "comes below"),
        (f"{HEAD}\n# config_below = true\n# ///\n\n# /// agent\n# fixtures = 'x'\n# ///\n", "not JSON"),
        (f"{HEAD}\n# config_below = true\n# ///\n\n# /// agent\n# limits = 1999-01-01\n# ///\n", "not JSON"),
        (f"{HEAD}\n# config_below = true\n# ///\n\n# /// agent\n# limits = inf\n# ///\n", "not JSON"),
        (f"{HEAD}\n# x = {'[' * 100_000}\n# ///\n", "not TOML"),
        (f"{HEAD}\n# descripton = 'x'\n# ///\n", "no 'descripton'"),
        (f"{HEAD}\n# description = 1\n# ///\n", "no 'description', or none of this kind"),
    ],
)
def test_a_broken_head_is_told_and_not_taken_for_code(text: str, said: str) -> None:
    with pytest.raises(NotAFile, match=said):
        read(text)


@pytest.mark.parametrize(
    "config", [{}, {"code": 1}, {"code": CODE, "fixtures": "text"}, {"code": CODE, "limits": {"effects": None}}]
)
def test_what_is_no_agent_made_of_code_is_no_file(config: dict[str, Any]) -> None:
    with pytest.raises(NotAFile):
        written(Content(description="x", config=config), version=1, revision=1)


def test_a_head_may_lack_what_its_reader_has_deleted() -> None:
    text = written(content(), version=2, revision=3)
    no_description = read(text.replace('# description = "Greets."\n', ""))
    assert (no_description.content.description, no_description.edited) == (None, True)
    assert no_description.content.same_as(content())
    assert read(text.replace("# revision = 3\n", "")).synced is None
    assert read(text.replace("\n", "\r\n")).content.description == "Greets."


def test_numbers_are_the_same_however_they_are_written() -> None:
    one, other = content(limits={"wall_seconds": 5}), content(limits={"wall_seconds": 5.0})
    assert one.fingerprint == other.fingerprint


def test_a_comparison_tells_where_the_newer_work_is() -> None:
    old, new, newer = content("old"), content("new"), content("newer")
    unedited = file_of(old)
    edited = read(written(old, version=2, revision=3).replace('"old"', '"new"'))
    assert compare(None, old) is Standing.NEW
    assert compare(unedited, old) is Standing.SAME
    assert compare(unedited, new) is Standing.BEHIND
    assert compare(edited, old) is Standing.AHEAD
    assert compare(edited, newer) is Standing.BOTH
    assert compare(edited, new) is Standing.SAME
    assert compare(read(CODE), old) is Standing.SAME
    assert compare(read(CODE + "#"), old) is Standing.FOREIGN
