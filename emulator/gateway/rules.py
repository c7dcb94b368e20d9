"""Which rules hold for which model: the request schemas of an operation, chosen by its discriminator.

Rules are data from the gateway's file, keyword by keyword. The validator compiles the same schemas to check bodies.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import field, replace
from functools import cached_property
from typing import Any, Final

from emulator.core.data_folders import is_shipped_schema
from emulator.core.light_dataclass import dataclass
from emulator.core.suggestions import describe_known
from emulator.core.yaml_file import Pointer
from emulator.gateway.formats import freeze_lists
from emulator.gateway.openapi import FORM, JSON, Document, FoundOperation, Keyword, Parameter, escape_step
from emulator.gateway.parameter_names import KEYWORD, MODEL, OwnNames, join_own_names, read_own_names
from emulator.gateway.picture_count import CountRule, read_count_rule
from emulator.gateway.pixels import PixelRule, read_pixel_rule
from emulator.gateway.response_shape import list_echoed, read_response_shape
from emulator.image.upload import PictureRule
from emulator.messages import ResponseShape

MOST_PICTURES: Final = 10  # a call, where a gateway's file sets no limit: OpenAI's own


@dataclass(frozen=True)
class ModelRules:
    """The rules of one model, or of a family of models, for one operation of one gateway in one behavior.

    It is made when the gateway is loaded, and each part below is worked out once: a call only looks up names in
    mappings and sets, and interprets no schema. `ref` leads to the request schema in the gateway's file. `upstream`
    leads to the schema of the server behind the gateway, which sees what the gateway lets through. With `types_first`
    the types of all parameters are checked before any value, as a decoder does it. `pictures` are the parameters that
    are files or stand for files. `closed` is whether unknown parameters are refused. `once` is the rule that
    a form gives no field twice; None where it may. With `lists_by_name` a form's `name[]` is a list even if it has one
    member. `pixels` says which parameters decide the pixels of pictures, where that is more than `size`, and `count`
    which one their number, where that is not `n`. `own_names` are the model's own names of parameters that the emulator
    acts on, by OpenAI's names.
    """

    ref: str
    parameters: Mapping[str, Parameter]
    required: frozenset[str]
    closed: Keyword
    response: ResponseShape
    upstream: str | None = None
    types_first: bool = False
    pictures: Mapping[str, PictureRule] = field(default_factory=dict)
    once: Keyword | None = None
    lists_by_name: bool = False
    pixels: PixelRule | None = None
    count: CountRule | None = None
    own_names: OwnNames = field(default_factory=dict)

    @cached_property
    def defaults(self) -> Mapping[str, Any]:
        """The value of each parameter that has a default."""
        return self._collect("default")

    @cached_property
    def aliases(self) -> Mapping[str, Mapping[str, Any]]:
        """For a parameter, the values that stand for other values: a value as JSON text to its meaning."""
        found = self._collect("x-emulator-means")
        return {name: {spell_alias(value): one for value, one in meanings.items()} for name, meanings in found.items()}

    @cached_property
    def clamps(self) -> Mapping[str, tuple[float, float]]:
        """For a parameter, the least and the most that its number counts as; one beyond counts as the nearer."""
        return self._collect("x-emulator-clamped")

    @cached_property
    def absent_values(self) -> Mapping[str, Sequence[Any]]:
        """For a parameter, the values that count as not given.

        A null that its type allows is one of them, but where the parameter is required: there null is a value.
        """
        found = {name: list(values) for name, values in self._collect("x-emulator-absent").items()}
        for name, kinds in self._collect("type").items():
            if "null" in kinds and name not in self.required:
                found.setdefault(name, []).append(None)
        return found

    @cached_property
    def most_pictures(self) -> int:
        """How many pictures a call may ask for: the maximum of `n`, at least OpenAI's ten, at most 128."""
        return _bound_pictures(self._collect("maximum").get(self.name_parameter("n")))

    @cached_property
    def effective(self) -> frozenset[str]:
        """The parameters that are known and have an effect."""
        return frozenset(self.parameters) - self.ignored

    @cached_property
    def deprecated(self) -> frozenset[str]:
        """The parameters that OpenAPI's `deprecated` marks."""
        return frozenset(name for name, value in self._collect("deprecated").items() if value is True)

    @cached_property
    def ignored(self) -> frozenset[str]:
        """The parameters that are allowed but have no effect."""
        return frozenset(name for name, value in self._collect("x-emulator-ignored").items() if value is True)

    def name_parameter(self, name: str) -> str:
        """Return the model's own name for what OpenAI calls `name`."""
        return self.own_names.get(name, name)

    def _collect(self, keyword: str) -> dict[str, Any]:
        """Return the value of `keyword` in each parameter that has it."""
        return {name: line[keyword].value for name, line in self.parameters.items() if keyword in line}


@dataclass(frozen=True)
class Models:
    """The rules of one operation by the name of the model.

    `listed` are the models of the file. `default` is the model of a call that names none, unless a parameter of
    `when_present` is given, which names another one. `otherwise` are the rules of unlisted models; None: they are
    unknown. Where a gateway passes calls on, only the names in `channels` are known, and those that a tester adds.
    `fallback` is the name that is looked up where a call gives no name or an empty one. `model_name` is the parameter
    that names the model. `own_names` are all the names of parameters that some model calls otherwise than OpenAI, by
    OpenAI's names; only files of a user's own have any.
    """

    listed: Mapping[str, ModelRules]
    default: str | None
    when_present: Mapping[str, str]
    otherwise: ModelRules | None
    source: str | None
    fallback: str | None = None
    channels: frozenset[str] | None = None
    model_name: str = MODEL
    own_names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def iter_rules(self) -> Iterator[ModelRules]:
        """Yield the rules of all models, each schema once."""
        every = [*self.listed.values()]
        if self.otherwise is not None:
            every.append(self.otherwise)
        yield from {rules.ref: rules for rules in every}.values()

    def find_rules(self, name: str, channels: Collection[str]) -> ModelRules | None:
        """Return the rules of the model `name`, None where it is unknown; `channels` are more names that are known."""
        if self.channels is None or name in self.channels or name in channels:
            return self.listed.get(name, self.otherwise)
        return None

    @property
    def known_names(self) -> Iterable[str]:
        """The names in the file that are known without a tester's channels."""
        if self.channels is None:
            return self.listed
        return [name for name in self.listed if name in self.channels]


class _ListedRules(Mapping[str, ModelRules]):
    """The rules of the models of one operation, each read when they are first needed: most runs use one or two.

    OpenAI's file lists fourteen models for each kind of body, and reading all of them takes 5 to 9 ms of a start.
    """

    def __init__(self, document: Document, targets: Mapping[str, str], pointer: Pointer, *, model_name: str) -> None:
        """`targets` are the references to the models' schemas, by name; the parameter `model_name` names the model."""
        self._document = document
        self._targets = targets
        self._pointer = pointer
        self._model_name = model_name
        self._rules: dict[str, ModelRules] = {}

    def __getitem__(self, name: str) -> ModelRules:
        rules = self._rules.get(name)
        if rules is None:
            rules = self._rules[name] = read_model_rules(
                self._document, self._targets[name], self._pointer, model_name=self._model_name
            )
        return rules

    def __contains__(self, name: object) -> bool:  # the one that is inherited reads the rules
        return name in self._targets

    def __iter__(self) -> Iterator[str]:
        return iter(self._targets)

    def __len__(self) -> int:
        return len(self._targets)


def read_models(document: Document, operation: FoundOperation, media_type: str = JSON) -> Models:
    """Return the rules of an operation for bodies of `media_type`, by its discriminator; raises InvalidFile."""
    pointer = _point_to_schema(operation, media_type)
    schema = document.find_request_schema(operation.node, media_type)
    if not isinstance(schema, dict):
        body = _BODY_NAMES[media_type]
        message = f"{operation.method} {operation.path} has no {body} request schema, so no live rule"
        raise document.file.error_at(operation.pointer, message)
    ref = "#/" + "/".join(map(escape_step, pointer))
    if set(schema) == {"$ref"}:
        ref = schema["$ref"]
    schema = document.resolve(schema, pointer)
    model_name = str((schema.get("discriminator") or {}).get("propertyName") or "")
    if not model_name:
        return _read_single_rules(document, ref, pointer)
    targets = _list_targets(schema)
    if model_name != MODEL:
        if not targets:  # it names the parameter alone
            return _read_single_rules(document, ref, pointer, model_name=model_name)
        if _has_other_model(document, targets.values(), model_name):
            return _read_single_rules(document, ref, pointer)
    return _read_listed_rules(document, schema, pointer, targets=targets, model_name=model_name)


def _read_listed_rules(
    document: Document, schema: Mapping[str, Any], pointer: Pointer, *, targets: Mapping[str, str], model_name: str
) -> Models:
    """Return the models of an operation whose request `schema` has a discriminator, with the schemas at `targets`."""
    listed: Mapping[str, ModelRules] = _ListedRules(document, targets, pointer, model_name=model_name)
    if not is_shipped_schema(document.file.path):  # a user's file is read to its end at once, so that its errors show
        listed = dict(listed)
    choice = schema.get("x-emulator-models", {})
    when_present = choice.get("when_present") or {}
    for name in (choice.get("default"), *when_present.values()):
        if name is not None and name not in listed:
            message = f"x-emulator-models names {name!r}; the discriminator knows {', '.join(listed)}"
            raise document.file.error_at(pointer, message)
    models = Models(
        listed=listed,
        default=choice.get("default"),
        when_present=when_present,
        otherwise=_read_other_rules(document, choice.get("otherwise", "unknown"), pointer, model_name=model_name),
        source=choice.get("source"),
        fallback=choice.get("fallback"),
        channels=frozenset(map(str, choice["channels"])) if "channels" in choice else None,
        model_name=model_name,
    )
    if is_shipped_schema(document.file.path):  # all its names are OpenAI's
        return models
    _check_model_name(document, models, pointer)
    return replace(models, own_names=join_own_names(models.iter_rules()))


def _check_model_name(document: Document, models: Models, pointer: Pointer) -> None:
    """Raise InvalidFile where a schema has another parameter for the model than the discriminator names."""
    for rules in models.iter_rules():
        other = rules.name_parameter(MODEL)
        if other != models.model_name:
            message = f"{other!r} is the model by {KEYWORD}, and the discriminator names {models.model_name!r}"
            raise document.file.error_at(pointer, message)


def _has_other_model(document: Document, targets: Iterable[str], name: str) -> bool:
    """Whether a schema has another parameter than `name` for the model: then the discriminator is about something else.

    `targets` are the references to the schemas.
    """
    for target in targets:
        for parameter, line in document.read_parameters(document.look_up(target)).items():
            is_marked = KEYWORD in line and line[KEYWORD].value == MODEL
            if parameter != name and (parameter == MODEL or is_marked):
                return True
    return False


def _read_single_rules(document: Document, ref: str, pointer: Pointer, *, model_name: str = MODEL) -> Models:
    """Return the models of an operation with one request schema, at `ref`, for whatever model."""
    rules = read_model_rules(document, ref, pointer, model_name=model_name)
    default = rules.defaults.get(rules.name_parameter(MODEL))
    if not isinstance(default, str):
        default = None
    return Models(
        listed={},
        default=default,
        when_present={},
        otherwise=rules,
        source=None,
        model_name=rules.name_parameter(MODEL),
        own_names=join_own_names([rules]),
    )


def _list_targets(schema: Mapping[str, Any]) -> Mapping[str, str]:
    """Return the reference to the schema of each model that the discriminator of `schema` knows, by its name."""
    targets: dict[str, str] = {}
    for name, target in _map_models(schema, schema["discriminator"]).items():
        if "/" not in target:  # OpenAPI lets a mapping name a schema alone
            target = f"#/components/schemas/{target}"
        targets[str(name)] = target
    return targets


def _read_other_rules(document: Document, otherwise: str, pointer: Pointer, *, model_name: str) -> ModelRules | None:
    """Return the rules of unlisted models: `otherwise` is a reference to their schema, or `unknown`."""
    if otherwise == "unknown":
        return None
    return read_model_rules(document, otherwise, pointer, model_name=model_name)


def _point_to_schema(operation: FoundOperation, media_type: str) -> Pointer:
    """Return the place in the file of the request schema of an operation."""
    pointer = [*operation.pointer, "requestBody", "content", media_type, "schema"]
    target = (operation.node.get("requestBody") or {}).get("$ref")
    if isinstance(target, str):
        return [*target[2:].split("/"), *pointer[-3:]]
    return pointer


def _map_models(schema: Mapping[str, Any], discriminator: Mapping[str, Any]) -> Mapping[str, str]:
    """Return the reference to each model's schema: the discriminator's mapping, else the alternatives' names."""
    mapping: Mapping[str, str] | None = discriminator.get("mapping")
    if mapping:
        return mapping
    alternatives = [*schema.get("oneOf", ()), *schema.get("anyOf", ())]
    return {part["$ref"].rsplit("/", 1)[-1]: part["$ref"] for part in alternatives if "$ref" in part}


def read_model_rules(document: Document, ref: str, pointer: Pointer = (), *, model_name: str = MODEL) -> ModelRules:
    """Return the rules in the request schema at `ref`, which stands at `pointer`; raises InvalidFile.

    `model_name` is the parameter that names the model, by the discriminator.
    """
    schema = document.look_up(ref, pointer)
    validation = document.find_annotation(schema, "x-emulator-judging") or {}
    source = form_source = document.find_annotation(schema, "x-emulator-source")
    if isinstance(source, dict):
        form_source = source.get("x-emulator-judging")
        source = source.get("unevaluatedProperties")
    once = None
    if "repeated" in validation:
        once = Keyword(validation["repeated"], form_source)
    closed = any(schema.get(key) is False for key in ("unevaluatedProperties", "additionalProperties"))
    parameters = document.read_parameters(schema)
    response = read_response_shape(document.find_annotation(schema, "x-emulator-reply") or {})
    for name in list_echoed(response):
        if name not in parameters:
            message = f"x-emulator-reply has the value of {name!r}, which is no parameter"
            raise document.file.error_at(pointer, f"{message}; {describe_known(name, parameters)}")
    try:
        own_names = read_own_names(parameters, model_name)
    except ValueError as error:
        raise document.file.error_at(pointer, str(error)) from None
    return ModelRules(
        ref=ref,
        parameters=parameters,
        required=document.list_required(schema),
        closed=Keyword(closed, source),
        response=response,
        upstream=validation.get("upstream"),
        types_first=validation.get("types") == "first",
        pictures=_read_picture_rules(document, parameters),
        once=once,
        lists_by_name=validation.get("brackets") == "list",
        pixels=_read_pixels(document, schema, parameters, pointer),
        count=_read_count(document, schema, parameters, pointer),
        own_names=own_names,
    )


def _read_pixels(
    document: Document, schema: Any, parameters: Mapping[str, Parameter], pointer: Pointer
) -> PixelRule | None:
    """Return the rule under `x-emulator-pixels`; raises InvalidFile where it names what is no parameter."""
    rule = read_pixel_rule(document.find_annotation(schema, "x-emulator-pixels"))
    if rule is not None:
        for name in rule.parameters:
            if name not in parameters:
                message = f"x-emulator-pixels names {name!r}, and its schema has no such parameter"
                raise document.file.error_at(pointer, f"{message}; {describe_known(name, parameters)}")
    return rule


def _read_count(
    document: Document, schema: Any, parameters: Mapping[str, Parameter], pointer: Pointer
) -> CountRule | None:
    """Return the rule under `x-emulator-count`; raises InvalidFile where it names what is no parameter."""
    rule = read_count_rule(document.find_annotation(schema, "x-emulator-count"))
    if rule is None:
        return None
    for name, line in parameters.items():
        if KEYWORD in line and line[KEYWORD].value == "n":
            message = f"x-emulator-count says what the number of pictures is, and {name!r} is {KEYWORD}: n"
            raise document.file.error_at(pointer, f"{message}; one of them can say it")
    for name in rule.parameters:
        if name not in parameters:
            message = f"x-emulator-count names {name!r}, and its schema has no such parameter"
            raise document.file.error_at(pointer, f"{message}; {describe_known(name, parameters)}")
    node: Mapping[str, Any] = {key: keyword.value for key, keyword in parameters[rule.path[0]].items()}
    for name in rule.path[1:]:
        members = node.get("properties", {})
        if name not in members:
            message = f"x-emulator-count names {rule.parameter!r}, and {name!r} is no property there"
            raise document.file.error_at(pointer, f"{message}; {describe_known(name, members)}")
        node = document.resolve(members[name])
    return replace(rule, most=_bound_pictures(node.get("maximum")))


def spell_alias(value: Any) -> str:
    """Return a value as the keys of x-emulator-means have it: a text as it is, anything else as JSON."""
    if isinstance(value, str):
        return value
    return json.dumps(value)


def _bound_pictures(maximum: Any) -> int:
    """Return how many pictures a call may ask for, where a file's own bound is `maximum`."""
    if maximum.__class__ is not int:
        return MOST_PICTURES
    return max(MOST_PICTURES, min(maximum, _MOST_DRAWN))


def _read_picture_rules(document: Document, parameters: Mapping[str, Parameter]) -> Mapping[str, PictureRule]:
    """Return the rules of the parameters that are pictures, by `x-emulator-picture` or by a schema of a file."""
    found = {}
    for name, line in parameters.items():
        node = {key: keyword.value for key, keyword in line.items()}
        keyword = line.get("x-emulator-picture")
        if keyword is not None:
            parts = freeze_lists(keyword.value)
            found[name] = PictureRule(many=_is_list(document, node), source=keyword.source, **parts)
        elif _is_file(document, node):
            found[name] = PictureRule(many=_is_list(document, node))
    return found


def _is_file(document: Document, node: Any) -> bool:
    """Return whether a schema means a file or a list of files, in the words of OpenAPI 3.0 or of 3.1."""
    node = document.resolve(node)
    if not isinstance(node, dict):
        return False
    if node.get("format") == "binary" or str(node.get("contentMediaType", "")).startswith(_FILE_TYPES):
        return "contentEncoding" not in node
    parts = [*node.get("anyOf", ()), *node.get("oneOf", ())]
    if "items" in node:
        parts.append(node["items"])
    return any(_is_file(document, part) for part in parts)


def _is_list(document: Document, node: Any) -> bool | None:
    """Return whether a schema means a list; None where it means a list or a single value."""
    node = document.resolve(node)
    answers = {_is_list(document, part) for part in (*node.get("anyOf", ()), *node.get("oneOf", ()))}
    if len(answers) > 1:
        return None
    if answers:
        return answers.pop()
    return bool(node.get("type") in ("array", ["array"]))


_BODY_NAMES: Final = {JSON: "JSON", FORM: "form's"}
_FILE_TYPES: Final = ("image/", "application/octet-stream")
_MOST_DRAWN: Final = 128  # pictures a call: the largest limit of any gateway we know, whatever a file says
