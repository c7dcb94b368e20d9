"""What the rules of a gateway have that calls can meet, and the line that a test needs to meet each of them.

An item is small and plain, so that those of several processes and runs are added up by their names alone. What a model
alone has counts once for its operation: `quality=low` is met by any model that takes it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache, cached_property
from typing import Any, Final, Literal, NamedTuple, get_args

from emulator.core.light_dataclass import dataclass
from emulator.core.phrases import quote, shorten_text
from emulator.faults import FAULTS
from emulator.gateway.gateway import Gateway, Operation
from emulator.gateway.model_catalog import Calendar
from emulator.gateway.openapi import Keyword, Parameter
from emulator.gateway.rules import ModelRules, Models, read_model_rules
from emulator.messages import KINDS, StreamShape

ItemKind = Literal["operation", "model", "parameter", "value", "bound", "refusal", "event", "fault", "situation"]
ITEM_KINDS: Final[tuple[ItemKind, ...]] = get_args(ItemKind)


class Item(NamedTuple):
    """Something that calls can meet.

    `operation` is "" where it belongs to none. `name` is a model, a parameter, a kind of refusal, an event, a fault or
    a situation. `detail` is the value of a parameter; or the bound, such as `maximum: 10`, and behind a comma its side:
    `reached` (the last value that is accepted) or `passed` (one beyond, which is refused).
    """

    kind: ItemKind
    operation: str = ""
    name: str = ""
    detail: str = ""

    def __str__(self) -> str:
        """Return the item for people, such as `generate quality=low`."""
        text = self.name
        if self.kind == "value":
            text += f"={self.detail}"
        elif self.kind == "bound":
            rule, _, side = self.detail.rpartition(", ")
            text += f" {rule} {side}"
        else:
            text += f" {self.detail}"
        return f"{self.operation} {text.strip()}".strip()


class CallSituation(NamedTuple):
    """A situation: what it is, what to add to a test that should meet it, and what a gateway needs to have for it."""

    about: str
    add: str
    needs: Literal["", "failures", "links", "streams", "tasks"] = ""


FAILURE: Final = "{error: moderation}"
"""What a scenario says of a picture that fails while others come."""


SITUATIONS: Final[Mapping[str, CallSituation]] = {
    "retry_after_429": CallSituation("a call sent again after a 429, and answered", "scenario: rate-limited-then-ok"),
    "retry_after_5xx": CallSituation(
        "a call sent again after a 5xx, and answered", "answers: [{refuse: overloaded}, draw]"
    ),
    "slow_answer": CallSituation("an answer that took ten seconds or more", "answers: {latency: 20s}"),
    "client_gone": CallSituation(
        "a client that left before its answer", "answers: {latency: 60s}, and a client with a time-out"
    ),
    "fewer_pictures": CallSituation("fewer pictures than asked for", "answers: {draw: {images: 0}}"),
    "altered_picture": CallSituation(
        "a picture that is not as asked for", "answers: {draw: {picture: {truncated: 50%}}}"
    ),
    "failed_picture": CallSituation(
        "a picture that failed beside others that came",
        f"answers: {{draw: {{picture: [null, {FAILURE}]}}}}, and two pictures or more",
        "failures",
    ),
    "link_followed": CallSituation("a picture's link, followed", "GET the url of a reply", "links"),
    "expired_link": CallSituation("an expired link", "answers: {draw: {expires_in: 0s}}, and GET the url", "links"),
    "partial_picture": CallSituation(
        "a stream that ends with an unfinished picture",
        'answers: {draw: {error: moderation}}, with "stream": true, "partial_images": 1',
        "streams",
    ),
    "waiting_task": CallSituation("a task that is not done yet", "ask for a task before it is done", "tasks"),
    "finished_task": CallSituation("a task that is done", "ask for a task until it is done", "tasks"),
}
"""Each situation by its name: what no single parameter or refusal shows."""


@dataclass(frozen=True)
class Contract:
    """One gateway in one behavior, as far as calls can meet its rules."""

    gateway: Gateway

    def list_items(self, calendar: Calendar) -> Mapping[Item, str]:
        """Return all items, each with the line to add to a test.

        What `calendar` says is not there today is left out. The items of the last day that was asked for are kept.
        """
        found = self._items.get(calendar)
        if found is None:  # two threads may come here; each has its own result then
            found = self._collect_items(calendar)
            self._items.clear()
            self._items[calendar] = found
        return found

    @cached_property
    def known_items(self) -> Mapping[Item, str]:
        """All items of any day, each with its line: models that have ended, and those that are not there yet, too."""
        return self._collect_items(_ALWAYS)

    @cached_property
    def _items(self) -> dict[Calendar, Mapping[Item, str]]:
        return {}

    def _collect_items(self, calendar: Calendar) -> Mapping[Item, str]:
        items: dict[Item, str] = {}
        operations = self._list_operations(calendar)
        for operation in operations:
            items[Item("operation", operation.name)] = f"{operation.method} /{self.gateway.name}{operation.path}"
        for operation in operations:
            if operation.name in self.bodies:
                items[Item("operation", operation.name, "in JSON")] = "Content-Type: application/json"
                items[Item("operation", operation.name, "in a form")] = "Content-Type: multipart/form-data"
            for models in operation.bodies:
                self._add_body_items(items, operation, models, calendar)
        for kind in KINDS:
            items[Item("refusal", name=kind)] = f"answers: {{refuse: {kind}}}, or the key {_reserve(kind)}"
        items |= self._list_events()
        for fault in FAULTS:
            if self.shapes or fault not in _OF_STREAMS:
                items[Item("fault", name=fault)] = f"answers: {{faults: [{fault}]}}, or the key {_reserve(fault)}"
        needs = self._list_needs_met(calendar)
        for name, situation in SITUATIONS.items():
            if situation.needs in needs:
                items[Item("situation", name=name)] = situation.add
        return items

    def _add_body_items(self, items: dict[Item, str], operation: Operation, models: Models, calendar: Calendar) -> None:
        names = [name for name in models.known_names if self._has_model(name, calendar)]
        for name in names:
            items.setdefault(Item("model", name=name), _write_member(models.model_name, name))
        if operation.name in _WITH_PARAMETERS:
            for rules in _list_rules(models, names):
                layers = list(self._add_upstream([rules]))
                for place, layer in enumerate(layers):
                    adder = _ItemAdder(
                        items=items,
                        operation=operation.name,
                        rules=layer,
                        other=layers[1 - place] if len(layers) > 1 else None,
                        is_upstream=place > 0,
                        in_form=models is operation.form,
                        companions=self._find_companions(layer),
                    )
                    adder.add_all()

    def find_parameters(
        self, operation: str, in_form: bool, model: str | None
    ) -> Sequence[Mapping[str, CountedParameter]]:
        """Return the parameters of a call's rules, those of the server behind the gateway in a mapping of their own.

        There is no mapping where a request has no body that counts.
        """
        key = operation, in_form, model
        found = self._parameters.get(key)
        if found is None:
            if len(self._parameters) >= _MOST_MODELS:  # where a gateway takes any model, clients choose the names
                self._parameters.clear()
            rules = self._find_rules(operation, in_form, model)
            found = self._parameters[key] = [_count_parameters(operation, one) for one in rules]
        return found

    @cached_property
    def shapes(self) -> Mapping[str, StreamShape]:
        """The shape of the streams of each operation that has some."""
        found: dict[str, StreamShape] = {}
        for operation, models in self.gateway.iter_validated():
            for rules in _list_rules(models, models.known_names):
                shape = rules.response.stream
                if shape is not None and operation.name in shape.names:
                    found.setdefault(operation.name, shape)
        return found

    @cached_property
    def bodies(self) -> frozenset[str]:
        """The operations that take both JSON and forms."""
        operations = (operation for operation, _ in self.gateway.iter_validated())
        return frozenset(one.name for one in operations if one.models is not None and one.form is not None)

    @cached_property
    def _parameters(self) -> dict[tuple[str, bool, str | None], Sequence[Mapping[str, CountedParameter]]]:
        return {}

    def _find_rules(self, operation: str, in_form: bool, model: str | None) -> Iterator[ModelRules]:
        for one, models in self.gateway.iter_validated():
            if one.name == operation and models is (one.form if in_form else one.models):
                rules = models.listed.get(model or "", models.otherwise)
                if rules is not None:
                    yield from self._add_upstream([rules])
                return

    def _list_operations(self, calendar: Calendar) -> list[Operation]:
        """Return the operations that are there, one path of each."""
        found: dict[str, Operation] = {}
        for one in self.gateway.iter_operations():
            if one.redirect is None and (one.ended is None or not calendar.is_past(one.ended)):
                found.setdefault(one.name, one)
        return list(found.values())

    def _has_model(self, name: str, calendar: Calendar) -> bool:
        """Return whether the gateway has the model today."""
        return not self.gateway.calendar or calendar.find_absence(name) is None

    def _find_companions(self, rules: ModelRules) -> dict[str, str]:
        """Return for some parameters the member, behind a comma, without which few of their values are accepted.

        `partial_images`, for example, is 0 unless `stream` is true.
        """
        found: dict[str, str] = {}
        document = self.gateway.document
        for part in document.iter_parts(document.look_up(rules.ref)):
            condition, consequence = part.get("if"), part.get("then")
            if isinstance(condition, Mapping) and isinstance(consequence, Mapping):
                unless = condition.get("not")
                wanted = unless.get("properties") if isinstance(unless, Mapping) else None
                kept = consequence.get("properties")
                if isinstance(wanted, Mapping) and isinstance(kept, Mapping):
                    members = [_write_member(name, _make_sample(schema)) for name, schema in wanted.items()]
                    found |= dict.fromkeys(kept, "".join(f", {member}" for member in members))
        return found

    def _add_upstream(self, found: Iterable[ModelRules]) -> Iterator[ModelRules]:
        """Yield rules, and behind them those of the server that sees what the gateway lets through."""
        for rules in found:
            yield rules
            if rules.upstream is not None:
                yield read_model_rules(self.gateway.document, rules.upstream)

    def _list_events(self) -> dict[Item, str]:
        items: dict[Item, str] = {}
        stream = _write_member(self._name_parameter("stream"), True)
        for operation, shape in self.shapes.items():
            start = shape.names[operation]
            if shape.partials:
                name = shape.partial.format_name(start)
                partials = _write_member(self._name_parameter("partial_images"), 1)
                items[Item("event", operation, name)] = f"{stream}, {partials}"
            items[Item("event", operation, shape.finished.format_name(start))] = stream
            if shape.failed is not None:
                name = shape.failed.format_name(start)
                items[Item("event", operation, name)] = f"answers: {{draw: {{picture: {FAILURE}}}}}, with {stream}"
            if shape.last is not None:
                items[Item("event", operation, shape.last.format_name(start))] = stream
            name = shape.error.format_name(start)
            items[Item("event", operation, name)] = f"answers: {{draw: {{error: moderation}}}}, with {stream}"
            if shape.done:
                items[Item("event", operation, DONE)] = f"{stream}, read to its end"
        return items

    def _name_parameter(self, name: str) -> str:
        """Return a name that the gateway has for what OpenAI calls `name`."""
        return self.gateway.own_names.get(name, (name,))[0]

    def _list_needs_met(self, calendar: Calendar) -> list[str]:
        """Return what of the needs of situations the gateway has."""
        needs = [""]
        for _, models in self.gateway.iter_validated():
            names = [name for name in models.known_names if self._has_model(name, calendar)]
            if any(one.response.delivery != "b64_json" for one in _list_rules(models, names)):
                needs.append("links")
            if any(one.response.failed_item is not None for one in _list_rules(models, names)):
                needs.append("failures")
        if any(shape.partials for shape in self.shapes.values()):
            needs.append("streams")
        if self.gateway.tasks is not None:
            needs.append("tasks")
        return needs


def _list_rules(models: Models, names: Iterable[str]) -> list[ModelRules]:
    """Return the rules of the models `names`, and of unlisted ones where a call can name some; each once."""
    found = [models.listed[name] for name in names]
    if models.otherwise is not None and models.channels is None:  # else only --channels leads there
        found.append(models.otherwise)
    return list({rules.ref: rules for rules in found}.values())


@dataclass(frozen=True)
class _ItemAdder:
    """Adds what the rules of a model say of parameters to `items`; the first line for an item stays.

    `other` are the rules of the other server that sees the call: the one behind the gateway, or with `is_upstream` the
    gateway. What no call can meet because of them is left out. `companions` are members that go with some parameters,
    behind a comma.
    """

    items: dict[Item, str]
    operation: str
    rules: ModelRules
    other: ModelRules | None
    is_upstream: bool
    in_form: bool
    companions: Mapping[str, str]

    def add_all(self) -> None:
        """Add all items of the rules."""
        model_name = self.rules.name_parameter("model")
        for name, parameter in self.rules.parameters.items():
            if name != model_name and not self._is_refused_behind(name):  # models are items of their own
                self._add_parameter(name, parameter)
        unknown = self._find_unknown()
        if self.rules.closed.value and unknown is not None:
            self.items.setdefault(Item("bound", self.operation, UNKNOWN, f"refused, {PASSED}"), unknown)

    def _add_parameter(self, name: str, parameter: Parameter) -> None:
        items, operation, companion = self.items, self.operation, self.companions.get(name, "")
        item, values = Item("parameter", operation, name), list_values(parameter)
        is_better = name in self.rules.pictures or bool(values) or item not in items
        if is_better and not items.get(item, "").startswith(_FILE):
            items[item] = _write_sample(name, parameter, is_file=name in self.rules.pictures) + companion
        for value in values:
            items.setdefault(Item("value", operation, name, spell_value(value)), _write_member(name, value))
        if name in self.rules.required:
            items.setdefault(Item("bound", operation, name, f"required, {PASSED}"), f'no "{name}"')
        beside = self._look_around(name)
        for bound in list_bounds(parameter):
            lines = dict(bound.write_lines(name, beside))
            if REACHED in lines:
                lines[REACHED] += companion
            for side, add in lines.items():
                items.setdefault(Item("bound", operation, name, f"{bound.rule}, {side}"), add)

    def _is_refused_behind(self, name: str) -> bool:
        """Return whether the gateway takes the parameter, and the server behind it never does."""
        other = self.other
        return other is not None and not self.is_upstream and bool(other.closed.value) and name not in other.parameters

    def _find_unknown(self) -> str | None:
        """Return a member that the rules do not know: for the server behind a gateway one that the gateway lets by."""
        if self.other is None or not self.is_upstream:
            return '"no_such_parameter": 1'
        for name, parameter in self.other.parameters.items():
            if name not in self.rules.parameters and name not in self.other.pictures:
                return _write_sample(name, parameter, is_file=False)
        return None

    def _look_around(self, name: str) -> _Surroundings:
        outer, others = self.rules, list[Bound]()
        if self.other is not None:
            others = list(list_bounds(self.other.parameters.get(name, {})))
            if self.is_upstream:
                outer = self.other
        is_file = self.in_form and name in self.rules.pictures
        return _Surroundings(outer.absent_values.get(name, ()), others, self.is_upstream, is_file)


class _Surroundings(NamedTuple):
    """What else counts for a parameter beside one of its bounds.

    `absent` are the values that count as not given, `others` the bounds of the other server, which with `are_first` are
    looked at first. A `is_file` parameter is a file of a form, of which nobody can send none.
    """

    absent: Sequence[Any]
    others: Sequence[Bound]
    are_first: bool
    is_file: bool

    def excludes(self, value: Any) -> bool:
        """Return whether a value breaks a bound of the other server."""
        return any(bound.excludes(value) for bound in self.others)


class Bound(NamedTuple):
    """A limit of a parameter: the keyword of its schema, and the value of that."""

    keyword: str
    limit: Any

    @property
    def rule(self) -> str:
        """The rule as a refusal names it, such as `maximum: 10`; an enum and a size without their values."""
        if self.keyword in _WITHOUT_LIMIT:
            return self.keyword
        return f"{self.keyword}: {quote(self.limit)}"

    def is_reached(self, value: Any) -> bool:
        """Return whether an accepted value is the last one that the bound lets by."""
        if value.__class__ is bool or value is None:
            return False
        if self.keyword in ("minimum", "maximum"):
            return value.__class__ in (int, float) and bool(value == self.limit)
        if self.keyword in ("minLength", "maxLength"):
            return isinstance(value, str) and len(value) == self.limit
        if self.keyword in ("minItems", "maxItems"):
            return isinstance(value, list) and len(value) == self.limit
        if self.keyword in SIZE_BREACHES:
            return self._reaches_size(value)
        return False

    def excludes(self, value: Any) -> bool:
        """Return whether a number is beyond the bound."""
        if self.keyword == "minimum":
            return bool(value < self.limit)
        return self.keyword == "maximum" and bool(value > self.limit)

    def write_lines(self, name: str, beside: _Surroundings) -> Iterator[tuple[str, str]]:
        """Yield each side of the bound that a call can meet, and the line that a test needs for it."""
        limit = self.limit
        match self.keyword:
            case "minimum" | "maximum":
                step = 1 if self.keyword == "maximum" else -1
                passed = limit + step
                while passed in beside.absent:
                    passed += step
                if limit not in beside.absent and not beside.excludes(limit):
                    yield REACHED, _write_member(name, limit)
                if not (beside.are_first and beside.excludes(passed)):
                    yield PASSED, _write_member(name, passed)
            case "exclusiveMinimum" | "exclusiveMaximum":
                yield PASSED, _write_member(name, limit)
            case "minLength" | "maxLength" | "minItems" | "maxItems":
                step = 1 if self.keyword.startswith("max") else -1
                noun = "character" if self.keyword.endswith("Length") else "member"
                yield REACHED, _write_length(name, limit, noun)
                if limit + step >= int(beside.is_file):
                    yield PASSED, _write_length(name, limit + step, noun)
            case "enum":
                yield PASSED, _write_member(name, "no-such-value")
            case _:
                yield from _write_size_lines(name, self)

    def _reaches_size(self, value: Any) -> bool:
        match = re.fullmatch(_SIZE, str(value))
        if match is None:
            return False
        return self.keyword in _list_reached(_SizeRule.read(self.limit), int(match[1]), int(match[2]))


class _SizeRule(NamedTuple):
    """The numbers of `x-emulator-size`."""

    step: int
    edge: int
    ratio: int
    fewest: int
    most: int

    @classmethod
    def read(cls, rule: Mapping[str, Any]) -> _SizeRule:
        fewest, most = rule["pixels"]
        return cls(rule["step"], rule["edge"], rule["ratio"], fewest, most)


def _list_reached(rule: _SizeRule, width: int, height: int) -> list[str]:
    """Return the parts of a rule that an accepted size has reached."""
    short, long = sorted((width, height))
    reached = {
        "size_edge": long == rule.edge,
        "size_below_budget": short * long == rule.fewest,
        "size_above_budget": short * long == rule.most,
        "size_ratio": long == rule.ratio * short,
    }
    return [breach for breach, is_reached in reached.items() if is_reached]


@cache
def _find_reaching_sizes(rule: _SizeRule) -> Mapping[str, str]:
    """Return a size for each part of a rule that some size reaches."""
    found: dict[str, str] = {}
    for height in range(rule.step, rule.edge + 1, rule.step):
        for width in range(height, min(rule.edge, rule.ratio * height) + 1, rule.step):
            if rule.fewest <= width * height <= rule.most:
                for breach in _list_reached(rule, width, height):
                    found.setdefault(breach, f"{width}x{height}")
    return found


class CountedParameter(NamedTuple):
    """The items of a parameter: itself, its values by their spelling, and the near side of each of its bounds."""

    item: Item
    values: Mapping[str, Item]
    bounds: Sequence[tuple[Bound, Item]]


def _count_parameters(operation: str, rules: ModelRules) -> Mapping[str, CountedParameter]:
    found = {}
    for name, parameter in rules.parameters.items():
        if name == rules.name_parameter("model"):  # models are items of their own
            continue
        values = map(spell_value, list_values(parameter))
        bounds = [
            (bound, Item("bound", operation, name, f"{bound.rule}, {REACHED}"))
            for bound in list_bounds(parameter)
            if bound.keyword != "enum"
        ]
        found[name] = CountedParameter(
            item=Item("parameter", operation, name),
            values={value: Item("value", operation, name, value) for value in values},
            bounds=bounds,
        )
    return found


def list_bounds(parameter: Parameter) -> Iterator[Bound]:
    """Yield the limits that the schema of a parameter sets."""
    for keyword in _BOUNDS:
        limit = parameter.get(keyword)
        if limit is not None and limit.value.__class__ in (int, float) and abs(limit.value) <= _LARGEST:
            yield Bound(keyword, limit.value)
    if "enum" in parameter:
        yield Bound("enum", parameter["enum"].value)
    size = parameter.get(_SIZE_RULE)
    if size is not None:
        for breach in SIZE_BREACHES:
            yield Bound(breach, size.value)


def list_values(parameter: Parameter) -> list[Any]:
    """Return the values of a parameter that are counted one by one; null counts as not given, and is none of them."""
    values: Sequence[Any] = ()
    if "enum" in parameter:
        values = parameter["enum"].value
    elif "boolean" in _list_types(parameter.get("type")):
        values = (False, True)
    elif _SIZE_RULE in parameter:
        values = parameter[_SIZE_RULE].value.get("words", ())
    return [value for value in values if value is not None]


def spell_value(value: Any) -> str:
    """Return a value as an item names it: a text as it is, anything else as JSON."""
    if not isinstance(value, str):
        value = json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)
    return shorten_text(value, _LONGEST)


def _list_types(keyword: Keyword | None) -> Sequence[str]:
    if keyword is None:
        return ()
    if isinstance(keyword.value, str):
        return (keyword.value,)
    return tuple(keyword.value)


def _write_member(name: str, value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return f'"{name}": {shorten_text(text, _LONGEST)}'


def _write_length(name: str, length: int, noun: str) -> str:
    return f'"{name}" of {length} {noun if length == 1 else f"{noun}s"}'


def _write_sample(name: str, parameter: Parameter, is_file: bool) -> str:
    """Return a member of a body that has the parameter."""
    if is_file:
        return f'{_FILE} as "{name}"'
    values = list_values(parameter)
    for keyword in ("default", "minimum"):
        if keyword in parameter and parameter[keyword].value not in (None, ""):
            values.append(parameter[keyword].value)
    if values:
        return _write_member(name, values[0])
    if "maxItems" in parameter:
        return f'a list as "{name}"'
    return _write_member(name, _make_sample({keyword: line.value for keyword, line in parameter.items()}))


def _make_sample(schema: Any) -> Any:
    """Return a value that most schemas like `schema` accept; an object has its required members."""
    if not isinstance(schema, Mapping):
        return "text"
    for keyword in ("enum", "const"):
        if keyword in schema:
            return schema[keyword][0] if keyword == "enum" else schema[keyword]
    types = schema.get("type")
    kinds = [types] if isinstance(types, str) else list(types or ())
    if "object" in kinds:
        members, required = schema.get("properties"), schema.get("required")
        if not isinstance(members, Mapping) or not isinstance(required, list):
            return {}
        return {name: _make_sample(members.get(name)) for name in required}
    return next((_SAMPLES[kind] for kind in kinds if kind in _SAMPLES), "text")


def _write_size_lines(name: str, bound: Bound) -> Iterator[tuple[str, str]]:
    """Yield the sides of one part of `x-emulator-size`, and the lines for them."""
    rule = _SizeRule.read(bound.limit)
    step, edge = rule.step, rule.edge
    half = edge // 2 // step * step
    thin = edge // (rule.ratio + 1) // step * step
    passed = {
        "size_shape": "large",
        "size_step": f"{half + 1}x{half}",
        "size_edge": f"{edge + step}x{half}",
        "size_below_budget": f"{step}x{step}",
        "size_above_budget": f"{edge}x{edge}",
        "size_ratio": f"{edge}x{thin}",
    }
    yield PASSED, _write_member(name, passed[bound.keyword])
    size = _find_reaching_sizes(rule).get(bound.keyword)
    if size is not None:
        yield REACHED, _write_member(name, size)


def _reserve(word: str) -> str:
    """Return the reserved API key of a kind of refusal or of a fault."""
    return f"sk-emulator.{word.replace('_', '-')}"


REACHED: Final = "reached"
PASSED: Final = "passed"
UNKNOWN: Final = "(unknown)"
"""The name of parameters that the rules do not have."""
DONE: Final = "[DONE]"
SIZE_BREACHES: Final = (
    "size_shape", "size_step", "size_edge", "size_below_budget", "size_above_budget", "size_ratio",
)  # fmt: skip
"""The parts of `x-emulator-size`, by the words of the refusals."""
_SIZE_RULE: Final = "x-emulator-size"
_WITHOUT_LIMIT: Final = ("enum", *SIZE_BREACHES)
_BOUNDS: Final = (
    "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minLength", "maxLength", "minItems", "maxItems",
)  # fmt: skip
_OF_STREAMS: Final = ("duplicate_event", "missing_final_event")
_SAMPLES: Final[Mapping[str, Any]] = {"string": "text", "integer": 1, "number": 1, "array": []}
_LONGEST: Final = 80  # characters of a value in an item
_FILE: Final = "a picture"
_LARGEST: Final = 2**53  # beyond it a limit is one of a decoder's numbers, and no rule of a gateway
_WITH_PARAMETERS: Final = ("generate", "edit")
"""The operations whose parameters are looked at; of a variation it is the model alone."""
_MOST_MODELS: Final = 1000  # for which rules are kept
_ALWAYS: Final = Calendar("9999-12-31", legacy=True)
_SIZE: Final = r"([0-9]{1,9})x([0-9]{1,9})"
