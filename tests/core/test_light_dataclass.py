"""A light dataclass does what the standard library's does."""

import copy
import dataclasses
import inspect
import pickle
from collections.abc import Callable
from dataclasses import FrozenInstanceError, field
from typing import Any

import pytest

from emulator.core.light_dataclass import dataclass as light

OPTIONS = [
    {},
    {"frozen": True},
    {"slots": True},
    {"frozen": True, "slots": True},
    {"frozen": True, "kw_only": True},
    {"eq": False},
    {"frozen": True, "eq": False, "slots": True},
]


def make_class(make: Callable[..., Any], **options: Any) -> Any:
    class Point:
        """A class with fields of every kind that is used."""

        x: int
        y: int = 2
        names: list[str] = field(default_factory=list)
        hidden: str = field(default="-", repr=False)
        ignored: int = field(default=0, compare=False)
        later: int = field(default=7, init=False)
        last: str = field(default="end", kw_only=True)

    return make(**options)(Point)


def try_to(action: Callable[[], Any]) -> Any:
    """What `action` returns, or its error; an object is known by its text, a class by its name."""
    try:
        result = action()
    except (TypeError, AttributeError) as error:
        return type(error).__name__, str(error)
    if dataclasses.is_dataclass(result):
        return repr(result)
    return result


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_objects_are_made_compared_shown_and_copied_alike(options: dict[str, Any]) -> None:
    ours, theirs = make_class(light, **options), make_class(dataclasses.dataclass, **options)
    actions: list[Callable[[Any], Any]] = [
        lambda cls: cls(x=1),
        lambda cls: cls(1),
        lambda cls: cls(1, 3, ["a"], "b", 5, last="l"),
        lambda cls: cls(),
        lambda cls: cls(x=1, z=2),
        lambda cls: cls(x=1, later=2),
        lambda cls: cls(x=1) == cls(x=1, ignored=3),
        lambda cls: cls(x=1) == cls(x=1, y=3),
        lambda cls: cls(x=1) == 1,
        lambda cls: cls.__hash__ is None,
        lambda cls: hash(cls(x=1, names=())) == hash(cls(x=1, names=())),
        lambda cls: hash(cls(x=1)) and None,
        lambda cls: setattr(cls(x=1), "x", 2),
        lambda cls: delattr(cls(x=1), "x"),
        lambda cls: cls(x=1).later,
        lambda cls: cls(x=1, names=[cls(x=2)]),
        lambda cls: dataclasses.replace(cls(x=1), y=5),
        lambda cls: dataclasses.astuple(cls(x=1)),
        lambda cls: dataclasses.asdict(cls(x=1)),
        lambda cls: copy.copy(cls(x=1)),
        lambda cls: copy.deepcopy(cls(x=1, names=["a"])),
        lambda cls: cls.__match_args__,
        lambda cls: [one.name for one in dataclasses.fields(cls)],
        lambda cls: hasattr(cls(x=1), "__dict__"),
        lambda cls: cls(x=1).names is cls(x=1).names,
    ]
    for number, action in enumerate(actions):
        assert try_to(lambda: action(ours)) == try_to(lambda: action(theirs)), number  # noqa: B023
    assert list(inspect.signature(ours).parameters) == list(inspect.signature(theirs).parameters)


@light(frozen=True)
class Parent:
    """A class with a method of its own for each that could be made."""

    size: int

    def __post_init__(self) -> None:
        if self.size < 0:
            raise ValueError("too small")

    def __repr__(self) -> str:
        return "a parent"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Parent)

    def __hash__(self) -> int:
        return 1


@light(frozen=True, slots=True)
class Child(Parent):
    """A class that has the fields of another one first."""

    name: str = "none"


def test_methods_of_the_class_itself_stay() -> None:
    assert (repr(Parent(1)), Parent(1) == Parent(2), hash(Parent(3))) == ("a parent", True, 1)
    with pytest.raises(ValueError, match="too small"):
        Parent(-1)


def test_a_subclass_has_the_fields_of_its_parent_first() -> None:
    child = Child(1, "Ann")
    assert repr(child) == "Child(size=1, name='Ann')"
    assert pickle.loads(pickle.dumps(child)) == child
    assert {child: 1}[Child(1, "Ann")] == 1
    with pytest.raises(FrozenInstanceError, match="cannot assign to field 'size'"):
        child.size = 2  # type: ignore[misc]
    with pytest.raises(ValueError, match="too small"):
        Child(-1)


def test_an_object_that_contains_itself_can_be_shown() -> None:
    node = make_class(light)(x=1)
    node.names.append(node)
    assert repr(node).count("Point(") == 1
