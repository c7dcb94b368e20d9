"""Takes API keys and other credentials out of everything that people read: journal, events, console, reports.

The journal stores what a client sent as it came, because verification compares the real values. All that leaves the
server goes through a `Redactor`, or through `redact_keys` where the call is not known. Three nets catch credentials:

1. Names. What stands behind a name such as `api_key`, `X-Access-Token` or `password` is a credential, in headers,
   queries, URLs, JSON, forms and bodies that cannot be read.
2. Values. A credential of this call is one wherever the call repeats it, and so are the keys of all other calls that
   this process has seen.
3. Shapes. Some keys can be recognized by themselves: `sk-…`, `Bearer …`, JWTs, those of AWS, GitHub and others.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import islice
from typing import Any, Final
from urllib.parse import quote, unquote

BLANK: Final = "***"
"""Stands in the place of each credential."""


class Redactor:
    """Redacts the texts of one call: its own credentials, and everything that looks like a key.

    `key` is the API key that the gateway found, `headers` are the request's, and `credential_headers` (lower case) are
    the headers in which its gateway expects a key, beside those whose names say so. `given` is the JSON body or the
    texts of the form, `query` the query: what they name as a credential is one wherever it is repeated.
    """

    def __init__(
        self,
        key: str | None,
        headers: Mapping[str, str],
        credential_headers: Iterable[str],
        given: Any = None,
        query: str = "",
    ) -> None:
        self._credential_headers = frozenset(credential_headers)
        values = [value for name, value in headers.items() if self._is_credential_header(name)]
        self._keys: Sequence[str] = note_keys(key or "", *values)
        more = list(islice(_find_secrets(given), _MOST_NAMED))
        more += [unquote(value) for name, value in _split_query(query) if names_a_key(name, _URL_NAMES)]
        if more:
            words = {variant for word in filter(is_secret, more) for variant in _spell(word)}
            self._keys = sorted(words.union(self._keys), key=len, reverse=True)

    def redact_value(self, value: Any) -> Any:
        """Return the JSON value with every text in it redacted, and every member whose name says that it is a key."""
        return self._redact(value, _URL_NAMES)

    def redact_answer(self, value: Any) -> Any:
        """The same for a body of ours: its links are signed, but not by anybody's credentials."""
        return self._redact(value, frozenset())

    def redact_member(self, name: str | None, value: Any) -> Any:
        """Return a value that the request has under `name`, redacted."""
        if value is not None and name is not None and names_a_key(name):
            return BLANK
        return self.redact_value(value)

    def redact_text(self, text: str) -> str:
        """Return a text of names and values, such as a query or a broken body, redacted."""
        return self._redact_string(_redact_pairs(_redact_urls(text, _URL_NAMES), _URL_NAMES))

    def redact_headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        """Return the headers redacted; one that carries a credential is blank as a whole."""
        redacted = {}
        for name, value in headers.items():
            if self._is_credential_header(name):
                redacted[name] = BLANK
            elif "=" in value or ":" in value:
                redacted[name] = self.redact_text(value)
            else:
                redacted[name] = self._redact_string(value)
        return redacted

    def _is_credential_header(self, name: str) -> bool:
        return name.lower() in self._credential_headers or names_a_key(name)

    def _redact(self, value: Any, url_names: frozenset[str]) -> Any:
        match value:
            case str():
                return self._redact_string(_redact_urls(value, url_names))
            case None | bool() | int() | float():
                return value
            case Mapping():
                redacted = {}
                for name, part in value.items():
                    if isinstance(name, str) and names_a_key(name) and part is not None:
                        part = BLANK
                    else:
                        part = self._redact(part, url_names)
                    redacted[self._redact_string(name)] = part
                return redacted
            case list() | tuple():
                return [self._redact(part, url_names) for part in value]
            case _:
                return value

    def _redact_string(self, text: str) -> str:
        for key in self._keys:
            if key not in text:
                continue
            if len(key) >= _LONG_ENOUGH:
                text = text.replace(key, BLANK)
            else:  # it may be a part of a longer word by chance
                text = re.sub(rf"(?<![A-Za-z0-9]){re.escape(key)}(?![A-Za-z0-9])", BLANK, text)
        return redact_keys(text)


def redact_keys(text: str) -> str:
    """Return the text without known keys and what looks like a key, and without lone surrogates, as UTF-8 has none."""
    if len(text) >= _LONG_ENOUGH and not text.startswith("data:"):
        if _known_keys:
            text = re.sub(_WORD, _redact_known, text)
        if _may_have_key(text):
            text = re.sub(LIKE_A_KEY, BLANK, text)
    if text.isascii():
        return text
    return text.encode("utf-8", "backslashreplace").decode()


def _may_have_key(text: str) -> bool:
    """Whether the text is worth a search for shapes of keys: most texts have none, and the pattern is slow."""
    for hint in _HINTS:
        if hint in text:
            return True
    if "-" in text or "_" in text:
        for hint in _JOINED_HINTS:
            if hint in text:
                return True
    return "earer" in text.lower()


def redact_texts(value: Any) -> Any:
    """Return a value of ours, such as a report on many calls, with `redact_keys` done to every text in it."""
    match value:
        case str():
            return redact_keys(value)
        case Mapping():
            return {name: redact_texts(part) for name, part in value.items()}
        case list() | tuple():
            return [redact_texts(part) for part in value]
        case _:
            return value


def note_key(key: str) -> None:
    """Remember a key that this process has seen, so that no text of any call shows it."""
    if key in _known_keys:
        return
    if len(key) >= _LONG_ENOUGH and (len(key) >= _SURELY_A_KEY or not key.isalpha()):  # else it may be a common word
        _known_keys[key] = None
        if len(_known_keys) > _MOST_KNOWN:
            _known_keys.popitem(last=False)


def note_credentials(headers: Mapping[str, str], credential_headers: tuple[str, ...]) -> None:
    """Remember the keys in the headers of a call, as `note_key` does; `credential_headers` are as in a Redactor.

    It takes a microsecond, and a Redactor, which remembers them too, is made only for a call that somebody reads.
    """
    places = _find_credential_headers(tuple(headers), credential_headers)
    if places:
        values = tuple(headers.values())
        note_keys("", *[values[place] for place in places])


@lru_cache(maxsize=64)  # a client sends the same headers with each call
def _find_credential_headers(names: tuple[str, ...], credential_headers: tuple[str, ...]) -> list[int]:
    """Return the places of those headers among `names` that have a credential."""
    return [place for place, name in enumerate(names) if name.lower() in credential_headers or names_a_key(name)]


def is_known_key(word: str) -> bool:
    """Whether this process has seen `word` as a key."""
    return word in _known_keys


def list_known_keys() -> list[str]:
    """Return the keys that this process has seen."""
    return list(_known_keys)


def is_secret(word: str) -> bool:
    """Whether a word from a place of keys is redacted wherever it is repeated: it is no common word."""
    if len(word) >= _LONG_ENOUGH:
        return True
    return len(word) >= _SHORTEST and not word.isalpha()


@lru_cache(maxsize=4096)  # the same names come again and again
def names_a_key(name: str, also: frozenset[str] = frozenset()) -> bool:
    """Whether a header, a parameter or a member of this name has a credential; `also` are further such names."""
    plain = re.sub("[^a-z0-9]", "", name.lower())
    if plain in _HARMLESS_NAMES:
        return False
    if plain in also or plain in _CREDENTIAL_NAMES or plain.endswith(_CREDENTIAL_ENDINGS):
        return True
    return re.search(r"(?i:[-_. ]key)$|[a-z]Key$", name.rstrip("]")) is not None


def note_keys(key: str, *values: str) -> Sequence[str]:
    """Remember the keys in the values of headers, and `key`, as `note_key` does.

    Return them, also as they are spelled elsewhere; the longest first, as it may contain another.
    """
    keys, spelled = _find_keys(key, *values)
    for word in keys:  # also where they were found before: others have been remembered in their place since
        note_key(word)
    return spelled


@lru_cache(maxsize=256)  # clients send the same keys again and again
def _find_keys(key: str, *values: str) -> tuple[Sequence[str], Sequence[str]]:
    """Return the keys in the values of headers, and `key`; then the same in all spellings, the longest first."""
    words = {key}
    for value in values:
        words.update(re.split(r"[\s=;,]+", value))
        scheme, _, rest = value.partition(" ")
        if scheme.lower() == "basic":
            words.update(_decode_basic(rest))
    secret = [word for word in words if is_secret(word)]
    return secret, sorted({variant for word in secret for variant in _spell(word)}, key=len, reverse=True)


def _decode_basic(text: str) -> Sequence[str]:
    """Return name and password of HTTP's basic authentication."""
    try:
        return base64.b64decode(text.strip(), validate=True).decode().split(":", 1)
    except (binascii.Error, UnicodeDecodeError):
        return ()


def _spell(word: str) -> Iterator[str]:
    """Yield a credential as it is, and as it stands in a URL and in Base64."""
    yield word
    if len(word) >= _LONG_ENOUGH:
        yield quote(word, safe="")
        yield base64.b64encode(word.encode("utf-8", "surrogatepass")).decode().rstrip("=")


def _find_secrets(value: Any) -> Iterator[str]:
    """Yield the texts that a JSON value has under names of credentials."""
    if isinstance(value, Mapping):
        for name, part in value.items():
            if isinstance(part, str):
                if isinstance(name, str) and names_a_key(name):
                    yield part
            else:
                yield from _find_secrets(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _find_secrets(part)


def _split_query(query: str) -> Iterator[tuple[str, str]]:
    """Yield the names and values of a query."""
    if "=" not in query:
        return
    for pair in query.split("&"):
        name, _, value = pair.partition("=")
        yield unquote(name), value


def _redact_known(found: re.Match[str]) -> str:
    """Return a word without the known keys in it."""
    word = found[0]
    if word in _known_keys:
        return BLANK
    parts = re.split(r"([/:=.]+)", word)
    if len(parts) == 1:
        return word
    stripped = word.strip("./:=")
    if stripped in _known_keys:
        return word.replace(stripped, BLANK)
    return "".join(BLANK if part in _known_keys else part for part in parts)


def _redact_urls(text: str, names: frozenset[str]) -> str:
    """Return the text with the credentials in its URLs redacted: name and password, and the values of such `names`."""
    if "://" not in text or text.startswith("data:"):
        return text

    def redact_pair(pair: re.Match[str]) -> str:
        if names_a_key(unquote(pair[2]), names):
            return f"{pair[1]}{pair[2]}={BLANK}"
        return pair[0]

    def redact_url(url: re.Match[str]) -> str:
        shown = re.sub(r"^([^:/]+://)[^/?#@]*@", rf"\1{BLANK}@", url[0])
        return re.sub(_QUERY_PAIR, redact_pair, shown)

    return re.sub(_URL, redact_url, text)


def _redact_pairs(text: str, names: frozenset[str]) -> str:
    """Return a text with `name=value`, `"name": "value"` or parts of a form, the values behind names of keys blank."""
    if "\n" in text:
        text = _redact_behind(text, re.compile(_PART_HEAD), names)
    return _redact_behind(text, re.compile(_PAIR_NAME), names)


def _redact_behind(text: str, name_pattern: re.Pattern[str], names: frozenset[str]) -> str:
    """Return the text with the values blank that stand behind names of keys; `name_pattern` finds the names."""
    value_pattern = re.compile(_PAIR_VALUE)
    pieces, copied = [], 0
    for pair in name_pattern.finditer(text):
        if pair.start() < copied or not names_a_key(unquote(pair[1]), names):
            continue
        value = value_pattern.match(text, pair.end())
        if value is None:
            continue
        pieces += [text[copied : pair.end()], value[1] or value[3] or "", BLANK, value[2] or value[4] or ""]
        copied = value.end()
    return "".join([*pieces, text[copied:]])


# Patterns as texts: `re` compiles them when they are first needed, which is after the start.
LIKE_A_KEY: Final = r"""(?x)
    (?<![A-Za-z0-9]) (?:
        (?:sk|pk|rk)[-_][A-Za-z0-9_-]{16,}                                     # OpenAI, gateways like it, Stripe
      | (?:xai-|gsk_|r8_|hf_|npm_|glpat-|xox[abeoprs]-|ya29\.|whsec_|tvly-|pplx-|fal-)[A-Za-z0-9_.-]{16,}
      | AIza[A-Za-z0-9_-]{30,} | (?:AKIA|ASIA)[A-Z0-9]{16}                     # Google, AWS
      | gh[oprsu]_[A-Za-z0-9]{20,} | github_pat_[A-Za-z0-9_]{20,}
      | (?<![_-])eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?           # a JWT
      | (?i:bearer|basic)\s+ (?: (?=[A-Za-z._~+/-]*[0-9]) [A-Za-z0-9._~+/-]{10,} | [A-Za-z0-9._~+/-]{24,} ) =*
    )
    | -----BEGIN\ [A-Z ]*PRIVATE\ KEY-----[^-]*(?:-----END\ [A-Z ]*PRIVATE\ KEY-----)?
    """
_HINTS: Final = ("eyJ", "AIza", "AKIA", "ASIA", "ya29.", "asic ", "ASIC ", "PRIVATE KEY")
_JOINED_HINTS: Final = (
    "k-", "k_", "xai-", "r8_", "hf_", "npm_", "glpat-", "xox", "whsec_", "tvly-", "pplx-", "fal-", "gho_", "ghp_",
    "ghr_", "ghs_", "ghu_", "github_pat_",
)  # fmt: skip
_WORD: Final = r"[A-Za-z0-9._~+/=:@-]{10,}"
_URL: Final = r"(?<![A-Za-z0-9+.-])[A-Za-z][A-Za-z0-9+.-]{0,20}://[^\s\"'<>\\]+"
_QUERY_PAIR: Final = r"([?&;#])([^=&;#?]+)=([^&#]*)"
_PART_HEAD: Final = r"""\bname="?([^"\r\n;]{1,80})[^\r\n]*\r?\n(?:[^\r\n]+\r?\n)*\r?\n"""
_PAIR_NAME: Final = r"""(?<![A-Za-z0-9_.\[\]%-])([A-Za-z][A-Za-z0-9_.\[\]%-]{1,80})\\*["']?\s*[:=]\s*"""
_PAIR_VALUE: Final = r"""(?x)
      (\\*") (?: [^"\\] | \\[^"] | \\"(?!\s*[,}\]:]) )* (\\*"?)
    | (') [^'\r\n]* ('?)
    | (?: (?i:bearer|basic|token|digest|apikey) \s+ )? [^\s&;,"'}\]]+
    """
_CREDENTIAL_NAMES: Final = frozenset({
    "key", "auth", "pwd", "passwd", "passphrase", "bearer", "jwt", "cookie", "setcookie", "sessionid", "credentials",
    "xemulatortoken", "xauth", "xapiauth", "sig", "signature",
})  # fmt: skip
_CREDENTIAL_ENDINGS: Final = (
    "apikey", "token", "secret", "password", "authorization", "secretkey", "privatekey", "accesskey", "accesskeyid",
    "subscriptionkey", "functionskey", "credential",
    "authentication", "hubsignature",
)  # fmt: skip
_HARMLESS_NAMES: Final = frozenset({
    "idempotencykey", "xidempotencykey", "promptcachekey", "cachekey", "publickey", "primarykey", "sortkey",
    "secwebsocketkey", "maxtoken", "eostoken", "bostoken", "stoptoken", "padtoken",
})  # fmt: skip
_URL_NAMES: Final = frozenset({"code", "xamzsignature", "xgoogsignature", "accesstoken"})
"""Names of credentials in URLs alone; an error in JSON has a `code` too."""
_LONG_ENOUGH: Final = 10  # characters; a shorter word may be a part of another one
_SHORTEST: Final = 6  # characters of a credential that is redacted where it is repeated; `k1` may be anything
_SURELY_A_KEY: Final = 16  # letters; a shorter key of letters alone may be a word that other prompts have
_MOST_NAMED: Final = 50  # credentials that one body names; each is searched for in every text of the call
_MOST_KNOWN: Final = 4096  # keys; a run of tests has hundreds
_known_keys: OrderedDict[str, None] = OrderedDict()
