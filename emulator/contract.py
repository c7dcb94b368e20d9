"""Holds a call against its gateway's contract: a Call that keeps it, or the Problem it has.

The one room that refuses. The order is the real one: key, body, model, unknown parameters, each parameter, defaults.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from emulator.anatomy import BadSchema, live_rules
from emulator.comparison import Comparison
from emulator.dialect import Dialect, Operation
from emulator.exchange import Breach, Call, Problem, RawCall, ReplyShape
from emulator.files import BadFile
from emulator.findings import Finding
from emulator.models import ModelRules, Models
from emulator.recipe import LARGEST_SIDE
from emulator.scenario import MARKED_KEY
from emulator.usage import TABLES
from emulator.verdict import Broken, Judge
from emulator.wording import kind_of, quoted

MOST_PICTURES: Final = 10  # a call, where a gateway's file sets no limit: OpenAI's own


class Contract:
    """One gateway's contract; `keys` are the good API keys, None where any will do.

    `marks` tells whether reserved keys are good beside them, `comparison` knows the other gateways. Schemas compile
    when first needed; `examine` compiles all.
    """

    def __init__(
        self,
        dialect: Dialect,
        keys: frozenset[str] | None = None,
        marks: bool = True,
        comparison: Comparison | None = None,
    ) -> None:
        self.dialect = dialect
        self._comparison = comparison or Comparison()
        self._marks = marks
        self._keys = keys
        self._judges: dict[str, Judge] = {}

    def examine(self) -> Iterator[int]:
        """Compile one request schema after the other, and yield how many live rules each has.

        Raises BadFile where one does not compile or checks nothing.
        """
        path = self.dialect.document.source.path
        for operation in self.dialect.generating():
            assert operation.models is not None
            for rules in _all_rules(operation.models):
                if rules.reply.usage not in (None, *TABLES):
                    raise BadFile(f"{path}: usage {rules.reply.usage!r} is no table; known are {', '.join(TABLES)}")
                try:
                    self._judge(rules.ref)
                except BadSchema as error:
                    raise BadFile(f"{path}: a schema does not compile: {error}") from None
                live = live_rules(self.dialect.document, rules.ref)
                if live == 0:
                    raise BadFile(f"{path}: {operation.method} {operation.path} has no live rule in {rules.ref}")
                yield live

    def accept(self, raw: RawCall, operation: Operation, key: str | None, report_only: bool = False) -> Call:
        """`raw` understood as `operation`; raises Problem.

        With `report_only` a breach that leaves something to answer is a finding, and the parameters in question count
        as not given.
        """
        self._authenticate(key)
        if operation.models is None:
            listing = operation.example if operation.example is not None else {"object": "list", "data": []}
            return Call(operation.name, None, {}, {}, {}, 0, (0, 0), ReplyShape(), (), listing)
        body = _body(raw, operation.limit)
        findings = list(_duplicates(raw))
        try:
            model, rules = _choose(operation.models, body)
        except Problem as problem:
            self._breached(problem, findings, report_only)
            model, rules = _nearest(operation.models, body)
        findings += _findings(body, rules, model)
        broken = self._judge(rules.ref).verdict(body)
        for one in broken:
            self._breached(_problem(one, findings, model), findings, report_only)
        params = _filled(_without(body, broken) if broken else body, rules)
        heeded = _heeded(params, rules, operation.models)
        pixels = _pixels(heeded.get("size"), findings)
        try:
            count = _count(heeded)
        except Problem as problem:
            self._breached(problem, findings, report_only)
            count = 1
        findings += self._defaults(body, rules, model)
        return Call(operation.name, model, body, params, heeded, count, pixels, rules.reply, tuple(findings))

    def _breached(self, problem: Problem, findings: list[Finding], report_only: bool) -> None:
        """Raise `problem`, or with `report_only` note what the answer would have been."""
        if not report_only:
            raise problem
        status, message = self.dialect.render(problem).status, self.dialect.wording.message(problem)
        findings.append(Finding("would_be_refused", f"refused but for report-only: {status} {message}", problem.param))

    def _defaults(self, body: Mapping[str, Any], rules: ModelRules, model: str | None) -> Iterator[Finding]:
        """What is worth knowing about parameters that could have been given."""
        for name, others in self._comparison.differing(self.dialect.name, model, rules).items():
            if name in rules.parameters and name not in body:
                yield Finding("default_differs", f"{name!r} is not given: {others}", name)

    def _judge(self, ref: str) -> Judge:
        judge = self._judges.get(ref)
        if judge is None:
            judge = self._judges[ref] = Judge(self.dialect.document, ref)
        return judge

    def _authenticate(self, key: str | None) -> None:
        if not self.dialect.credentials:
            return
        source = self.dialect.credentials[0].source
        if key is None:
            raise Problem("missing_key", rule="security: a key is required", source=source)
        if self._marks and key.startswith(MARKED_KEY):  # a reserved key is good wherever keys are listed
            return
        if key.startswith("sk-invalid") or (self._keys is not None and key not in self._keys):
            rule = "security: --keys" if self._keys is not None else "security: no key starts with sk-invalid"
            raise Problem("invalid_key", facts={"key": masked(key)}, rule=rule, source=source)


def masked(key: str) -> str:
    """A key as OpenAI shows a wrong one: its first 8 and last 4 characters; a key of 12 or fewer whole."""
    return key if len(key) <= 12 else f"{key[:8]}{'*' * (len(key) - 12)}{key[-4:]}"


def _all_rules(models: Models) -> Iterator[ModelRules]:
    yield from {rules.ref: rules for rules in (*models.listed.values(), models.otherwise) if rules}.values()


def _body(raw: RawCall, limit: int) -> Mapping[str, Any]:
    """The JSON object that `raw` carries; raises Problem for every other body."""
    if raw.trouble == "too_large":
        length = raw.headers.get("Content-Length", "")
        read = length if length.isdecimal() and int(length) > limit else str(limit + 1)
        facts = {"limit": str(limit), "length": read[:20]}
        raise Problem("too_large", facts=facts, rule=f"a body of at most {limit} bytes", source="assumed")
    kind = raw.headers.get("Content-Type", "")
    if kind != "application/json" and not _is_json(kind):
        raise _refusal("content_type", {"content_type": kind[:100]}, rule="requestBody: application/json in UTF-8")
    if raw.trouble is not None:
        facts = {"value": quoted(raw.headers.get("Content-Encoding", "")), "supported": "'gzip', 'deflate'"}
        raise _refusal(raw.trouble, facts, rule="requestBody: readable JSON")
    if not isinstance(raw.json, Mapping):
        raise _refusal("not_an_object", {"actual": kind_of(raw.json)}, rule="requestBody: an object")
    return raw.json


def _is_json(kind: str) -> bool:
    """Whether a Content-Type means JSON in UTF-8."""
    name, *options = (part.strip().lower() for part in kind.split(";"))
    charsets = [option.partition("=")[2].strip(' "') for option in options if option.startswith("charset")]
    return name == "application/json" and all(charset in ("utf-8", "utf8") for charset in charsets)


def _choose(models: Models, body: Mapping[str, Any]) -> tuple[str | None, ModelRules]:
    """The model that is meant, and its rules."""
    if "model" in body:
        model = body["model"]
        if not isinstance(model, str):
            facts = {"expected": "a string", "actual": kind_of(model)}
            raise _refusal("type", facts, "model", models.source, model)
        rules = models.listed.get(model, models.otherwise)
        if rules is None:
            facts, rule = {"model": model[:200]}, f"one of {', '.join(models.listed)}"
            raise Problem("unknown_model", "model", None, facts, rule, models.source, model)
        return model, rules
    model = next((name for param, name in models.when_present.items() if param in body), models.default)
    rules = models.otherwise if model is None else models.listed.get(model, models.otherwise)
    if rules is None or (model is None and "model" in rules.required):
        raise _refusal("missing", {}, "model", models.source)
    return model, rules


def _duplicates(raw: RawCall) -> Iterator[Finding]:
    for key in raw.duplicates[:_MOST_FINDINGS]:
        yield Finding("duplicate_key", f"the body gives {key!r} twice; the last one counts", key)


def _nearest(models: Models, body: Mapping[str, Any]) -> tuple[str | None, ModelRules]:
    """The model and the rules that stand in for those of a model that cannot be told."""
    rules = models.otherwise or models.listed.get(models.default or "") or next(iter(models.listed.values()))
    named = body.get("model")
    return named if isinstance(named, str) else models.default, rules


def _without(body: Mapping[str, Any], broken: Sequence[Broken]) -> Mapping[str, Any]:
    """`body` without the parameters that break a rule; a number of pictures that can be drawn stays."""
    names = {re.split(r"[.\[]", one.param)[0] for one in broken}
    wanted = body.get("n")
    if wanted.__class__ is int and 1 <= wanted <= MOST_PICTURES:
        names.discard("n")
    return {name: value for name, value in body.items() if name not in names}


def _findings(body: Mapping[str, Any], rules: ModelRules, model: str | None) -> Iterator[Finding]:
    """What is worth knowing about parameters that are allowed, in the body's order, so that a run repeats."""
    if not rules.closed.value:
        for name in [name for name in body if name not in rules.parameters][:_MOST_FINDINGS]:
            yield Finding("unknown_parameter", f"{name!r} is not on the gateway's page", name)
    for name in body:
        if name in rules.ignored:
            yield Finding("parameter_ignored", f"{name!r} has no effect with {model or 'this model'}", name)
        if name in rules.deprecated:
            yield Finding("deprecated_parameter", f"{name!r} is deprecated", name)


def _filled(body: Mapping[str, Any], rules: ModelRules) -> dict[str, Any]:
    """The parameters that count: defaults for what is absent, aliases resolved."""
    params = {**rules.defaults, **body}
    for name, means in rules.means.items():
        if name in params:
            value = params[name]
            params[name] = means.get(value if isinstance(value, str) else json.dumps(value), value)
    return params


def _heeded(params: Mapping[str, Any], rules: ModelRules, models: Models) -> Mapping[str, Any]:
    """The parameters that have an effect: of a plain file, which says little, also those that it does not know."""
    if rules.heard.issuperset(params):
        return params
    if not models.listed:
        return {name: value for name, value in params.items() if name not in rules.ignored}
    return {name: value for name, value in params.items() if name in rules.heard}


def _count(params: Mapping[str, Any]) -> int:
    """How many pictures; where a file sets no bounds for `n`, OpenAI's hold."""
    count = params.get("n", 1)
    if not isinstance(count, int) or isinstance(count, bool):
        raise _refusal("type", {"expected": "an integer", "actual": kind_of(count)}, "n", "assumed", count)
    if count < 1:
        raise _refusal("below_minimum", {"limit": "1", "value": quoted(count)}, "n", "assumed", count)
    if count > MOST_PICTURES:
        raise _refusal("above_maximum", {"limit": str(MOST_PICTURES), "value": quoted(count)}, "n", "assumed", count)
    return count


def _pixels(size: Any, findings: list[Finding]) -> tuple[int, int]:
    """Width and height to draw; notes a finding where they are not what was asked for."""
    if size is None or size == "auto":
        return _USUAL_PIXELS
    if isinstance(size, str) and (match := _SIZE.fullmatch(size)):
        width, height = int(match[1]), int(match[2])
        if 1 <= width <= LARGEST_SIDE and 1 <= height <= LARGEST_SIDE:
            return width, height
    findings.append(Finding("size_not_drawn", f"{size!r} cannot be drawn; the picture is 1024x1024", "size"))
    return _USUAL_PIXELS


def _problem(broken: Broken, findings: list[Finding], model: str | None) -> Problem:
    if code := _TOLD.get(broken.breach):
        findings.append(Finding(code, f"{broken.param} is {broken.value!r}", broken.param))
    return Problem(
        "invalid_request", broken.param, broken.breach, broken.facts, broken.rule, broken.source, broken.value,
        findings=tuple(findings), model=model,
    )  # fmt: skip


def _refusal(
    breach: Breach,
    facts: Mapping[str, str],
    param: str | None = None,
    source: str | None = "assumed",
    value: Any = None,
    rule: str | None = None,
) -> Problem:
    rule = rule or f"{_KEYWORDS.get(breach, breach)}: {facts.get('limit') or facts.get('expected') or param}"
    return Problem("invalid_request", param, breach, facts, rule, source, value)


_KEYWORDS: Final = {"below_minimum": "minimum", "above_maximum": "maximum", "missing": "required"}
_SIZE: Final = re.compile(r"([0-9]{1,5})x([0-9]{1,5})")
_USUAL_PIXELS: Final = (1024, 1024)
_MOST_FINDINGS: Final = 10  # of one code in one call; a person reads no more
_TOLD: Final[Mapping[Breach, str]] = {"stream_true": "streaming_not_emulated"}
