"""Properties of objects that several threads share."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from emulator.core.shared_property import shared_property


class Counted:
    """Counts how often its properties are computed."""

    def __init__(self) -> None:
        self.computed = 0
        self.entered = threading.Event()
        self.asked = threading.Event()

    @shared_property
    def value(self) -> object:
        """What is shared."""
        self.computed += 1
        self.entered.set()
        assert self.asked.wait(10)
        return object()

    @shared_property
    def pair(self) -> tuple[object, object]:
        return self.value, self.value


def test_a_value_is_computed_once() -> None:
    """A thread that asks while another one computes waits for its value."""
    counted = Counted()

    def ask_second() -> object:
        assert counted.entered.wait(10)
        counted.asked.set()
        return counted.value

    with ThreadPoolExecutor(2) as threads:
        first, second = threads.submit(lambda: counted.value), threads.submit(ask_second)
        assert first.result(10) is second.result(10) is counted.value
    assert 1 == counted.computed


def test_one_may_read_another() -> None:
    counted = Counted()
    counted.asked.set()
    assert counted.pair == (counted.value, counted.value)
    assert 1 == counted.computed


def test_the_class_has_its_docstring() -> None:
    assert "What is shared." == Counted.value.__doc__
