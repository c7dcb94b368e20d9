"""Which gateways a server has, and when it loads them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from emulator.client.api import ImageApi
from emulator.core.data_folders import find_schemas
from emulator.core.yaml_file import InvalidFile
from emulator.server.app import App
from emulator.settings import Settings
from emulator.validation import registry
from tests.conftest import Served

OWN = """
openapi: 3.1.0
info: {title: Own, version: "1"}
servers: [{url: https://images.own.test/v1}]
paths:
  /images/generations:
    post:
      requestBody:
        content:
          application/json:
            schema: {type: object, properties: {prompt: {type: string, maxLength: 500}}}
      responses: {"200": {description: The pictures}}
"""


@pytest.fixture
def own(tmp_path: Path) -> str:
    """A gateway's file of the user's own."""
    path = tmp_path / "own.yaml"
    path.write_text(OWN, "utf-8")
    return str(path)


def made(app: App) -> set[str]:
    """The gateways whose files a server has loaded."""
    return set(app.registry.validators.made)


def test_a_start_loads_the_default_gateway_alone(own: str) -> None:
    """And the files of the user's own; the names of all are known all the same."""
    app = App(Settings(gateway="ezmodel"))
    assert {"ezmodel"} == made(app)
    assert {path.stem for path in find_schemas().glob("*.yaml")} == set(app.registry.gateways)
    assert {"openai", "own"} == made(App(Settings(schema=(own,))))


def test_a_gateway_is_loaded_with_its_first_call(serve: Callable[..., Served]) -> None:
    """A call to one of them loads no other, nor does asking for its base URL."""
    served = serve()
    body = {"model": "dall-e-3", "prompt": "x"}
    key = {"authorization": "Bearer k"}
    assert 200 == httpx.post(f"{served.url}/aiai/v1/images/generations", json=body, headers=key).status_code
    assert {"openai", "aiai"} == made(served.app)
    assert ImageApi(served.url, "one").url("ezmodel").endswith("/ezmodel/v1")
    assert {"openai", "aiai"} == made(served.app)


@pytest.mark.parametrize(
    ("host", "gateway"),
    [
        ("api.ezmodel.cloud", "ezmodel"),
        ("geekai.dev:443", "geekai"),
        ("images.own.test", "own"),
        ("my-resource.openai.azure.com", "azure"),
        ("openai.azure.com", None),
        ("a.b.openai.azure.com", None),
        ("127.0.0.1", None),
        ("[::1]:4010", None),
        ("emulator", None),
        ("images.test", None),
    ],
)
def test_a_real_host_finds_its_gateway(host: str, gateway: str | None, own: str) -> None:
    """The host of a gateway that ships and was not asked for yet, and that of the user's own."""
    app = App(Settings(schema=(own,)))
    assert (gateway is not None) == app.registry.has_host(host)
    path = "/images/generations"
    assert (gateway or "openai") == app.registry.find_route(host, path).gateway.name


@pytest.mark.parametrize(
    ("host", "path", "gateway", "rest"),
    [
        ("images.own.test", "/own/v3/images/generations", "own", "/own/v3/images/generations"),
        ("images.own.test:8443", "/own/v3/nothing", "own", "/own/v3/nothing"),
        ("images.own.test", "/own/own/v3/images/generations", "own", "/own/v3/images/generations"),
        ("images.own.test", "/ezmodel/v1/images/generations", "ezmodel", "/v1/images/generations"),
        ("127.0.0.1:4010", "/own/own/v3/images/generations", "own", "/own/v3/images/generations"),
        ("127.0.0.1:4010", "/own/v3/images/generations", "own", "/v3/images/generations"),
        ("x.openai.azure.com", "/openai/deployments/d/images/generations", "azure", "/openai/deployments/d/images/gen"),
        ("x.openai.azure.com", "/azure/openai/v1/images/generations", "azure", "/openai/v1/images/generations"),
        ("api.openai.com", "/openai/v1/images/generations", "openai", "/v1/images/generations"),
    ],
)
def test_a_path_at_a_real_host_counts_before_a_name(own: str, host: str, path: str, gateway: str, rest: str) -> None:
    """Its first part may be the name of a gateway, its own or another's; elsewhere the name stands before the path."""
    Path(own).write_text(OWN.replace(".test/v1", ".test/own/v3"), "utf-8")
    route = App(Settings(schema=(own,))).registry.find_route(host, path)
    assert gateway == route.gateway.name
    assert route.path.startswith(rest)
    known = path.endswith("generations") and rest != "/v3/images/generations"
    assert known == bool(route.operations)


def test_a_mistake_at_a_real_host_is_told_its_base_url(own: str, serve: Callable[..., Served]) -> None:
    """Which is the host and the path of the file's server, without the gateway's name."""
    Path(own).write_text(OWN.replace(".test/v1", ".test/own/v3"), "utf-8")
    served = serve(schema=(own,))
    headers = {"authorization": "Bearer k", "host": "images.own.test"}
    assert 404 == httpx.post(f"{served.url}/own/v3/images/generate", headers=headers, json={}).status_code
    (finding,) = served.calls("latest")[-1]["findings"]
    line = "did you mean /own/v3/images/generations? The base URL is http://images.own.test/own/v3"
    assert finding["message"].endswith(line)


def test_a_gateway_of_this_machine_takes_no_other_names(own: str) -> None:
    """A file whose server is an address of this machine leaves the names of other gateways alone."""
    Path(own).write_text(OWN.replace("https://images.own.test/v1", "http://127.0.0.1:9000/openai/v1"), "utf-8")
    found = App(Settings(schema=(own,))).registry
    assert "openai" == found.find_route("127.0.0.1:4010", "/openai/v1/images/generations").gateway.name


def test_a_typo_in_an_own_file_is_told_at_the_start(own: str) -> None:
    """A key that is unknown, and a schema that checks nothing, stop the start, though nobody has called."""
    path = Path(own)
    path.write_text(OWN.replace("requestBody:", "x-emulator-opertion: generate\n      requestBody:"), "utf-8")
    with pytest.raises(InvalidFile, match="x-emulator-opertion"):
        App(Settings(schema=(own,)))
    path.write_text(OWN.replace("maxLength: 500", "maxLenght: 500").replace("type: string, ", ""), "utf-8")
    with pytest.raises(InvalidFile, match="no live rule"):
        App(Settings(schema=(own,)))


@pytest.mark.parametrize("name", ["ezmodel", "pictures"])
def test_a_name_that_is_taken_is_refused(name: str, tmp_path: Path) -> None:
    """By a gateway that ships, whose file need not be loaded for it, or by the emulator itself."""
    path = tmp_path / f"{name}.yaml"
    path.write_text(OWN, "utf-8")
    with pytest.raises(InvalidFile, match=r"is taken by|is reserved"):
        registry.find_gateways([str(path)])


def test_two_files_of_one_name_are_refused(own: str, tmp_path: Path) -> None:
    """The one that came first is named."""
    (tmp_path / "more").mkdir()
    other = tmp_path / "more" / "own.yaml"
    other.write_text(OWN, "utf-8")
    with pytest.raises(InvalidFile, match=r"is taken by .*own\.yaml"):
        registry.find_gateways([own, str(other)])
