"""What is asked for ahead comes in its order, errors in their turn, and no more than was said."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from syncd.sync.feeding import AHEAD, ahead


def test_everything_comes_in_its_order() -> None:
    assert list(ahead(iter(range(20)))) == list(range(20))
    assert list(ahead(iter(()))) == []


def test_an_error_comes_after_what_came_before_it() -> None:
    def items() -> Iterator[int]:
        yield 1
        yield 2
        raise ValueError("the third")

    told = ahead(items())
    assert [next(told), next(told)] == [1, 2]
    with pytest.raises(ValueError, match="the third"):
        next(told)


def test_the_next_ones_are_asked_for_while_one_is_in_work_and_no_more_than_those() -> None:
    asked, reached = [], threading.Event()

    def items() -> Iterator[int]:
        for number in range(10):
            asked.append(number)
            if number == AHEAD:
                reached.set()
            yield number

    told = ahead(items())
    assert next(told) == 0
    assert reached.wait(5), "nothing was asked for ahead"
    assert max(asked) <= AHEAD
    told.close()


def test_it_is_asked_by_one_thread_that_is_not_the_one_in_work() -> None:
    def items() -> Iterator[int]:
        for _ in range(5):
            yield threading.get_ident()

    threads = set(ahead(items()))
    assert len(threads) == 1
    assert threading.get_ident() not in threads


def test_nothing_more_is_asked_for_once_it_is_closed() -> None:
    asked = []

    def items() -> Iterator[int]:
        for number in range(100):
            asked.append(number)
            yield number

    told = ahead(items())
    next(told)
    told.close()
    assert len(asked) <= AHEAD + 2


def test_a_patient_one_leaves_nobody_at_work_behind_it() -> None:
    begun, may_end, ended = threading.Event(), threading.Event(), threading.Event()

    def items() -> Iterator[int]:
        yield 0
        begun.set()
        may_end.wait(5)
        ended.set()
        yield 1

    told = ahead(items(), patient=True)
    next(told)
    assert begun.wait(5)
    threading.Timer(0.1, may_end.set).start()
    told.close()
    assert ended.is_set(), "somebody is still busy with what nobody wants any more"
