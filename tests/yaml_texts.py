"""Reads and writes YAML by the C library where there is one: it is ten times as fast as PyYAML's own."""

from __future__ import annotations

from typing import Any

import yaml


def load_yaml(text: str) -> Any:
    """Return what YAML says."""
    return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def dump_yaml(value: Any) -> str:
    """Return `value` as YAML; the keys keep their order."""
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    text: str = yaml.dump(value, Dumper=dumper, allow_unicode=True, sort_keys=False)
    return text
