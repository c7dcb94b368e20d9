"""Compares a call with the contract of its model's own maker, which a gateway in front of the model may not have.

A gateway may let by what the maker refuses, because its page is silent, or because its server checks little. Such a
call is answered, and a finding says that nobody has promised it. A channel to the maker itself refuses it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from emulator.core.data_folders import is_shipped_schema
from emulator.core.light_dataclass import dataclass
from emulator.core.phrases import quote, shorten_text
from emulator.findings import Finding
from emulator.gateway.gateway import Gateway, load_gateway, load_shipped_gateway
from emulator.gateway.rules import ModelRules, Models
from emulator.messages import Call, OperationName
from emulator.validation.parameters import fill_defaults
from emulator.validation.schema import SchemaValidator, SchemaViolation


@dataclass(frozen=True)
class MakerContract:
    """What the `maker` of a model demands of a call of one operation."""

    maker: Gateway
    rules: ModelRules

    @cached_property
    def schema_validator(self) -> SchemaValidator:
        """The maker's schema for these calls."""
        return SchemaValidator(self.maker.document, self.rules.ref, self.rules.types_first)

    def find_violations(self, body: Mapping[str, Any]) -> tuple[SchemaViolation, ...]:
        """Return what of the maker's rules `body` breaks."""
        return self.schema_validator.find_violations(body)

    def answer(self, call: Call, body: Mapping[str, Any]) -> Call:
        """Return `call` with the maker's reply to `body`: its shape, and the defaults that it fills in."""
        filled = fill_defaults(body, self.rules)
        effective = {name: value for name, value in filled.items() if name in self.rules.effective}
        findings = tuple(finding for finding in call.findings if finding.code != "assumed_accepted")
        return replace(call, effective={**call.effective, **effective}, response=self.rules.response, findings=findings)

    def describe_violation(self, violation: SchemaViolation, model: str) -> str:
        """Return the maker's own words for a violation, and whose they are."""
        message = self.maker.error_catalog.describe_error(violation.build_error(model))
        return f"the contract of {self.maker.name} for {model!r} refuses that: {message}"


class MakerContracts:
    """The contracts of the makers that a gateway's file names; each is loaded when a call first needs it."""

    def __init__(self, gateway: Gateway) -> None:
        self._files = gateway.makers
        self._known: dict[tuple[OperationName, bool, str], MakerContract] = {}

    def find(self, operation: OperationName, in_form: bool, model: str | None) -> MakerContract | None:
        """Return the contract for `operation` of `model`, by a form or by JSON; None where no maker has one."""
        if model is None:
            return None
        key = operation, in_form, model
        if key not in self._known:
            for maker, models in self._list_models(operation, in_form):
                if model in models.listed:
                    self._known[key] = MakerContract(maker, models.listed[model])
        return self._known.get(key)

    def find_all(self, operation: OperationName, in_form: bool) -> list[MakerContract]:
        """Return the contracts for `operation` of all models, by a form or by JSON."""
        names = {name for _, models in self._list_models(operation, in_form) for name in models.listed}
        found = (self.find(operation, in_form, name) for name in sorted(names))
        return [contract for contract in found if contract is not None]

    def _list_models(self, operation: OperationName, in_form: bool) -> list[tuple[Gateway, Models]]:
        """Return the makers, each with the models that it has for `operation`, by a form or by JSON."""
        return [
            (maker, models)
            for maker in self._makers
            for one, models in maker.iter_validated()
            if one.name == operation and (models is one.form) is in_form
        ]

    @cached_property
    def _makers(self) -> list[Gateway]:
        return [_load_maker(path) for path in self._files]


def list_assumptions(
    contract: MakerContract, model: str, body: Mapping[str, Any], rules: ModelRules, refused: Iterable[str] = ()
) -> list[Finding]:
    """Return a finding for each parameter of `body` that the gateway's `rules` let by and `contract` refuses.

    `body` has OpenAI's names; `refused` are the parameters of which report-only has told already that the gateway
    itself refuses them.
    """
    violations = contract.find_violations(body)
    if not violations:  # most calls
        return []
    found: list[Finding] = []
    settled = {*map(_find_name, refused), *rules.pictures, *contract.rules.pictures}  # pictures have been examined
    own_names = rules.own_names
    for violation in violations:
        meaning = _find_name(violation.param)
        name = own_names.get(meaning, meaning)
        if name in settled:
            continue
        settled.add(name)  # a parameter's first violation is about its type, and what follows says no more
        if _is_told_already(violation, name, rules):
            continue
        given = "is not given"
        if violation.violation != "missing":
            given = f"is {shorten_text(quote(body.get(meaning)), _LONGEST_VALUE)}"
        message = f"{name!r} {given}, and the gateway lets it by; {contract.describe_violation(violation, model)}"
        found.append(Finding("assumed_accepted", message, name))
    return found


def _find_name(param: str) -> str:
    """Return the parameter in which `param` is, such as `style` for `style.name`."""
    return re.split(r"[.\[]", param)[0]


def _is_told_already(violation: SchemaViolation, name: str, rules: ModelRules) -> bool:
    """Whether the gateway's own file says something of what the maker's contract refuses.

    A parameter that the gateway does not know has a finding of its own, and one whose rules have a source is meant by
    the gateway. What is missing may have another name there. A documented rule for the same keyword is a promise.
    """
    parameter = rules.parameters.get(name)
    if parameter is None:
        return True
    if violation.violation in _UNKNOWN:
        return any(keyword.source in ("documented", "observed") for keyword in parameter.values())
    own = parameter.get(violation.keyword)
    return own is not None and own.source == "documented"


def _load_maker(path: Path) -> Gateway:
    """Return the maker's contract in the file at `path`; a file that ships is loaded once."""
    if is_shipped_schema(path):
        return load_shipped_gateway(path)
    return load_gateway(path)


_UNKNOWN: Final = ("unknown_parameter", "image_in_json", "images_in_form")
"""The violations that mean: the maker does not know the parameter, or not under this name."""
_LONGEST_VALUE: Final = 60  # characters of a value in a finding; a prompt may have thousands
