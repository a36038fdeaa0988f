"""Ordinary Python must just run: the corpus gives the same results and logs as under plain Python."""

import pytest

from tests.sandbox.languages import PROGRAMS, Program, plain, restricted, run


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_ordinary_program_gives_the_same_under_the_policy(program: Program) -> None:
    assert program.examples
    for example in program.examples:
        assert run(program.source, restricted(), example) == run(program.source, plain(), example)


def test_corpus_is_large_enough() -> None:
    assert len(PROGRAMS) >= 30
    assert all(len(program.source.splitlines()) >= 20 for program in PROGRAMS)
