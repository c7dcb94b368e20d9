"""Runs what the README and the pages of emulator/docs show, and keeps their tables complete."""

from __future__ import annotations

import io
import json
import os
import re
import socket
import ssl
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from PIL import Image

from emulator import ImageApi
from emulator.cli.main import COMMANDS
from emulator.core import json_schema
from emulator.core.data_folders import find_docs
from emulator.core.markdown import Table
from emulator.core.pages import Page
from emulator.session.verification import WORDS
from emulator.settings import FIELDS, list_unknown_variables, load_settings
from tests.conftest import CA, Served
from tests.docs_tables import TABLE, list_arguments, make_table
from tests.node import FOLDER as NPM
from tests.node import need_packages
from tests.paths import ROOT, TESTS
from tests.process import Command
from tests.redis_server import RedisServer, need_redis
from tests.yaml_texts import load_yaml

README: Final = (ROOT / "README.md").read_text("utf-8")
PAGES: Final = {path.stem: path.read_text("utf-8") for path in sorted(find_docs().glob("*.md"))}
BLOCK: Final = re.compile(r"^(?:<!-- ([a-z ]+) -->\n)?```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
BLOCKS: Final = [(page, *found) for page, text in {"README": README, **PAGES}.items() for found in BLOCK.findall(text)]
"""Page, mark, language and text of each block."""
ADDRESS: Final = "http://127.0.0.1:4010"


def _blocks(language: str) -> list[Any]:
    """The blocks of one language on all pages, without the commands that .ci/run carries out."""
    return [
        pytest.param(text, id=f"{page}: {text.partition(chr(10))[0][:50]}")
        for page, mark, kind, text in BLOCKS
        if kind == language and not mark and not text.startswith("# not run by the tests")
    ]


def _run(command: list[str], folder: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        command, cwd=folder, env={**os.environ, "PATH": path, **environ}, capture_output=True, text=True, timeout=60
    )


_OTHERS: Final = ("-p", "no:schemathesis", "-p", "no:hypothesispytest")
"""Plugins that only the tests of this project need here, and that take a second to load."""
_NOT_BESIDE: Final = ("# emulator.yaml", "# compose")
"""Files that the folder lacks: every command there would read the one, and the other has a test of its own."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder such as the README's reader stands in: with the pictures, and the gateway's file of its own example."""
    (tmp_path / "tests").symlink_to(TESTS, target_is_directory=True)
    for _, _, language, text in BLOCKS:
        if language == "yaml" and text.startswith("# ") and not text.startswith(_NOT_BESIDE):
            (tmp_path / text.partition("\n")[0].removeprefix("# ")).write_text(text)
    return tmp_path


def _starts_server(text: str) -> bool:
    """Whether a shell example is one command that runs until it is stopped."""
    return re.match(r"(EMULATOR_\w+=\S+ )*image-api-emulator serve", text) is not None


@pytest.mark.parametrize("text", [one for one in _blocks("sh") if _starts_server(one.values[0])])
def test_servers_start(folder: Path, text: str) -> None:
    """Each shell example that starts a server does so, and the server answers."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environ = {**os.environ, "PATH": path, "EMULATOR_PORT": "0", "EMULATOR_READY_JSON": "true"}
    command = ["bash", "-c", "exec env " + text]
    with subprocess.Popen(command, cwd=folder, env=environ, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            ready = json.loads(server.stdout.readline())
            trust = ssl.create_default_context(cafile=ready.get("ca"))
            for url in (ready["url"], ready.get("tls_url", ready["url"])):
                assert "ok" == httpx.get(f"{url}/_emulator/health", verify=trust).json()["status"]
        finally:
            server.terminate()
    assert 0 == server.returncode


@pytest.mark.parametrize("text", [one for one in _blocks("sh") if not _starts_server(one.values[0])])
def test_commands_run(serve: Callable[..., Served], folder: Path, text: str) -> None:
    """Each shell example succeeds, and what it gets is no refusal; one moves the clock, so each has its own server."""
    server = serve()
    server.generate("ezmodel", {"prompt": "A call to look at"})
    done = _run(["bash", "-euo", "pipefail", "-c", text.replace(ADDRESS, server.url)], folder)
    assert (0, "") == (done.returncode, done.stderr)
    assert done.stdout
    assert '"error"' not in done.stdout


def test_curl_at_the_real_host(serve: Callable[..., Served], folder: Path) -> None:
    """The example for the gateway's real host gets a picture over HTTPS."""
    served = serve(tls=True)
    (text,) = (text for _, mark, _, text in BLOCKS if mark == "over tls")
    text = text.replace("4010", str(served.port)).replace("~/.local/share/image-api-emulator/tls/ca.pem", CA)
    done = _run(["bash", "-euo", "pipefail", "-c", text], folder)
    assert (0, "") == (done.returncode, done.stderr)
    assert json.loads(done.stdout)["data"][0]["b64_json"]


@pytest.mark.parametrize("shell", ["bash", "sh"])
def test_a_failing_harness_ends_its_server(folder: Path, shell: str) -> None:
    """Where the harness fails, as without curl, no server and no pipe is left behind."""
    (text,) = (text for *_, text in BLOCKS if text.startswith("# harness.sh"))
    head, _, _ = text.partition("\ncurl ")
    done = _run([shell, "-c", head + '\necho "$line"\nno-such-program'], folder)
    pid = json.loads(done.stdout)["pid"]
    assert 127 == done.returncode
    while os.path.exists(f"/proc/{pid}"):
        pass
    assert not (folder / "ready").exists()


@pytest.mark.parametrize("text", _blocks("python"))
def test_python_runs(server: Served, folder: Path, text: str) -> None:
    """Each Python example runs as written; a comment behind a print says what is printed."""
    if text.startswith("# test_"):
        missing = [
            name for name in re.findall(r"^(?:from|import) (\w+)", text, re.MULTILINE) if find_spec(name) is None
        ]
        if missing:
            assert os.environ.get("CI") != "true", "CI has to have the extra [test]"
            pytest.skip(f"{', '.join(missing)}: not installed; the extra [test] has it")
        name = text.partition("\n")[0].removeprefix("# ")
        (folder / name).write_text(text)
        if "import unittest" in text and "pytest" not in text:
            done = _run([sys.executable, "-m", "unittest", name], folder)
            assert (0, True) == (done.returncode, f"Ran {text.count('def test_')} test" in done.stderr), done.stderr
            return
        done = _run([sys.executable, "-m", "pytest", "-q", *_OTHERS, name], folder)
        assert f"{text.count('def test_')} passed" in done.stdout, done.stdout
        return
    if text.startswith("# tests/"):  # an excerpt from a file whose tests are run
        name, _, excerpt = text.removeprefix("# ").partition("\n")
        assert excerpt in (ROOT / name).read_text("utf-8")
        return
    done = _run([sys.executable, "-c", text.replace(ADDRESS, server.url)], folder)
    assert 0 == done.returncode, done.stderr
    for printed in re.findall(r"print\(.*\)  # (.*)", text):
        assert printed in done.stdout


@pytest.mark.parametrize("text", _blocks("js"))
def test_node_runs(server: Served, folder: Path, text: str) -> None:
    """Each example for Node runs as written; a comment behind a console.log says what it prints."""
    need_packages(*re.findall(r'from "(?!node:)([^"]+)"', text))
    (folder / "node_modules").symlink_to(NPM / "node_modules", target_is_directory=True)
    (folder / "harness.mjs").write_text(text.replace(ADDRESS, server.url))
    done = _run(["node", "harness.mjs"], folder)
    assert (0, "") == (done.returncode, done.stderr)
    for printed in re.findall(r"console\.log\(.*\); // (.*)", text):
        assert printed in done.stdout


def test_the_containers_steps(tmp_path: Path, serve: Callable[..., Served]) -> None:
    """What the Dockerfile does can be done: the health check finds a healthy server, and says so of no other."""
    dockerfile = (ROOT / "Dockerfile").read_text("utf-8")
    check = json.loads(re.search(r"HEALTHCHECK .* CMD (\[.*\])", dockerfile)[1])[1:]  # type: ignore[index]
    served, over_tls = serve(), serve(tls=True)
    for environ in ({"EMULATOR_PORT": str(served.port)}, {"EMULATOR_PORT": str(over_tls.port), "EMULATOR_TLS": "true"}):
        healthy = _run([sys.executable, *check], tmp_path, **environ)
        assert (0, "", "") == (healthy.returncode, healthy.stdout, healthy.stderr)
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = str(nobody.getsockname()[1])
        assert 0 != _run([sys.executable, *check], tmp_path, EMULATOR_PORT=port).returncode
    for file in re.findall(r"^COPY (\S+) ", dockerfile, re.MULTILINE):
        assert file == "."
    assert "USER emulator" in dockerfile
    assert "STOPSIGNAL SIGTERM" in dockerfile
    assert 'ENTRYPOINT ["image-api-emulator"]' in dockerfile
    extras = re.findall(r"'(?:\.|image-api-emulator)\[([a-z,]+)\]'", dockerfile)
    assert 2 == extras.count(extras[0])
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert set(extras[0].split(",")) <= set(project["optional-dependencies"])
    variables = dict(re.findall(r"(EMULATOR_\w+)=(\S+)", dockerfile))
    assert [] == list_unknown_variables(variables)
    assert ("0.0.0.0", "off", "/tls") == tuple(
        getattr(load_settings({}, variables, tmp_path), name) for name in ("host", "cache_dir", "tls_dir")
    )


def test_a_container_may_be_read_only(tmp_path: Path) -> None:
    """A server needs no place where it can write, and SIGTERM ends it; with TLS it writes to its folder alone."""
    environ = {
        "EMULATOR_CACHE_DIR": "off",
        "HOME": "/proc/none",
        "TMPDIR": "/proc/none",
        "XDG_CACHE_HOME": "/proc/none",
    }
    folder = tmp_path / "empty"
    folder.mkdir()
    for more in ({}, {"EMULATOR_TLS": "true", "EMULATOR_TLS_DIR": str(tmp_path / "tls")}):
        command = Command(folder, "--ready-json", **environ, **more)
        try:
            command.ready()
            assert 200 == command.generate({"prompt": "A cat"}).status_code
            assert (0, "", "") == command.end()
        finally:
            command.kill()
        assert [] == list(folder.iterdir())
    assert {"ca.pem", "ca-key.pem"} == {path.name for path in (tmp_path / "tls").iterdir()}


def _find_block(name: str) -> str:
    """The one block that begins with `# NAME`."""
    (found,) = (text for *_, text in BLOCKS if text.startswith(f"# {name}\n"))
    return str(found)


def _ask_service(served: Served, environment: dict[str, str], host: str) -> str:
    """Ask a server as another container does, by the name of its service: the link to a picture."""
    port = served.port
    headers = {"host": f"{host}:{port}"}
    token = {"x-emulator-token": environment["EMULATOR_ADMIN_TOKEN"]}
    assert 200 == httpx.get(f"{served.url}/_emulator/health", headers=headers).status_code
    assert 401 == httpx.get(f"{served.url}/_emulator/sessions", headers=headers).status_code
    assert 200 == httpx.get(f"{served.url}/_emulator/sessions", headers={**headers, **token}).status_code
    link: str = served.generate("ezmodel", {"prompt": "A cat"}, **headers).json()["data"][0]["url"]
    return link


def test_the_compose_file(serve: Callable[..., Served]) -> None:
    """The server has the settings of the file, and the app finds it under the name of its service."""
    services = load_yaml(_find_block("compose.yaml"))["services"]
    ours, app = services["image-api"], services["app"]
    environment = ours["environment"]
    assert [] == list_unknown_variables(environment)
    settings = load_settings({}, environment, Path("/"))
    assert ["127.0.0.1:4010:4010"] == ours["ports"]
    assert {"image-api": {"condition": "service_healthy"}} == app["depends_on"]
    base = httpx.URL(app["environment"]["OPENAI_BASE_URL"])
    assert ("image-api", 4010, "/ezmodel/v1") == (base.host, base.port, base.path)
    served = serve(admin_token=settings.admin_token, allow_host=settings.allow_host, gateway=settings.gateway)
    assert _ask_service(served, environment, "image-api").startswith(f"http://image-api:{served.port}/")


def test_the_compose_file_for_https(serve: Callable[..., Served], tmp_path: Path) -> None:
    """The app reaches the emulator under the gateway's own name, and trusts what the volume has."""
    parsed = load_yaml(_find_block("compose-https.yaml"))
    ours, app = parsed["services"]["image-api"], parsed["services"]["app"]
    environment = ours["environment"]
    assert [] == list_unknown_variables(environment)
    settings = load_settings({}, environment, Path("/"))
    assert (True, 443, "/tls") == (settings.tls, settings.port, settings.tls_dir)
    assert f"{settings.tls_dir}/ca.pem" == app["environment"]["SSL_CERT_FILE"]
    assert {volume.split(":")[1] for volume in (*ours["volumes"], *app["volumes"])} == {settings.tls_dir}
    served = serve(tls=True, tls_dir=str(tmp_path / "tls"), admin_token=settings.admin_token)
    (host,) = ours["networks"]["default"]["aliases"]
    command = ["curl", "-sS", "--cacert", str(tmp_path / "tls" / "ca.pem")]
    command += ["--resolve", f"{host}:{served.port}:127.0.0.1"]
    command += ["-H", f"Authorization: Bearer {app['environment']['OPENAI_API_KEY']}"]
    done = _run([*command, f"https://{host}:{served.port}/v1/models"], tmp_path)
    assert "list" == json.loads(done.stdout)["object"], done.stderr


def test_the_compose_file_with_redis(serve: Callable[..., Served]) -> None:
    """The command of the file starts a Redis that three servers with the file's settings share."""
    services = load_yaml(_find_block("compose-redis.yaml"))["services"]
    environment = services["image-api"]["environment"]
    assert [] == list_unknown_variables(environment)
    settings = load_settings({}, environment, Path("/"))
    assert "redis://redis:6379" == settings.store
    program, *options = services["redis"]["command"]
    assert "redis-server" == program
    need_redis()
    redis = RedisServer(*options)
    try:
        for _ in range(services["image-api"]["deploy"]["replicas"]):
            served = serve(store_url=redis.url, admin_token=settings.admin_token, public_url=settings.public_url)
            link: str = served.generate("ezmodel", {"prompt": "A cat"}).json()["data"][0]["url"]
            assert link.startswith("http://image-api:4010/")
        token = {"x-emulator-token": environment["EMULATOR_ADMIN_TOKEN"]}
        shown = httpx.get(f"{served.url}/_emulator/sessions/latest/calls", headers=token).json()
        assert [1, 2, 3] == [call["number"] for call in shown["calls"]]
    finally:
        redis.stop()


def test_the_workflow(serve: Callable[..., Served], tmp_path: Path) -> None:
    """Each step has work to do, the service has settings, and the last step finds the call that was made."""
    text = _find_block(".github/workflows/images.yml").replace("${{ github.run_id }}", "1234567890")
    jobs = load_yaml(text)["jobs"]
    assert all(len({"uses", "run"} & set(step)) == 1 for job in jobs.values() for step in job["steps"])
    job = jobs["any-language"]
    environment = job["services"]["image-api"]["env"]
    assert [] == list_unknown_variables(environment)
    served = serve(admin_token=load_settings({}, environment, tmp_path).admin_token)
    check = job["steps"][-1]["run"].replace(ADDRESS, served.url)
    assert 0 != _run(["bash", "-c", check], tmp_path).returncode
    served.generate("ezmodel", {"prompt": "A cat"}, key=job["env"]["OPENAI_API_KEY"])
    done = _run(["bash", "-c", check], tmp_path)
    assert 0 == done.returncode, done.stdout


def test_the_file_of_settings(tmp_path: Path) -> None:
    """The settings of the file count, and its names are those of the flags."""
    (tmp_path / "emulator.yaml").write_text(_find_block("emulator.yaml"))
    found = load_settings({}, {}, tmp_path)
    assert ("ezmodel", "rate-limited-then-ok", "realistic") == (found.gateway, found.scenario, found.picture_weight)
    assert ("my-gateway.yaml",) == found.schema


def test_the_picture_shown_is_the_one_that_is_made(server: Served) -> None:
    """The README's first call makes the picture that stands below it."""
    body = re.search(r"-d '(\{.*?\})'", README)
    assert body is not None
    made = httpx.get(server.generate("ezmodel", json.loads(body[1])).json()["data"][0]["url"]).content
    shown = (TESTS / "pictures" / "first.png").read_bytes()
    assert _pixels(shown) == _pixels(made)


def _pixels(data: bytes) -> tuple[tuple[int, int], bytes]:
    image = Image.open(io.BytesIO(data))
    return image.size, image.convert("RGB").tobytes()


def test_the_added_gateway_answers(serve: Callable[..., Served], folder: Path) -> None:
    """The gateway that a page shows refuses and answers by its file alone."""
    served = serve(schema=(str(folder / "my-gateway.yaml"),))
    good = served.generate("my-gateway", {"model": "any", "prompt": "x"})
    assert (200, "") == (good.status_code, good.headers.get("x-emulator-finding", ""))
    bad = served.generate("my-gateway", {"model": "any", "prompt": "x" * 501})
    assert (400, "string_above_max_length") == (bad.status_code, bad.json()["error"]["code"])
    assert "maxLength: 500" == served.calls()[-1]["refused"]["rule"]


def test_the_added_gateway_has_its_own_words(serve: Callable[..., Served], folder: Path) -> None:
    """The error catalog that the page shows counts where it says something, and OpenAI's elsewhere."""
    served = serve(schema=(str(folder / "my-worded-gateway.yaml"),))
    error = served.generate("my-worded-gateway", {"prompt": "x", "n": 5}).json()["error"]
    assert ("n may be 4 at most.", "too_much") == (error["message"], error["code"])
    assert "Missing" in served.generate("my-worded-gateway", {}).json()["error"]["message"]


def test_every_setting_has_its_line() -> None:
    """The table of settings names every flag and no other."""
    table = PAGES["server"].partition("## Settings")[2].partition("\n## ")[0]
    named = {
        flag
        for line in table.splitlines()
        if line.startswith("| `")
        for flag in re.findall(r"`--([a-z-]+)`", line.split("|")[1])
    }
    assert {name.replace("_", "-") for name in FIELDS} == named


def test_every_table_is_the_codes() -> None:
    """Tables of flags, kinds, breaches, findings and reserved values say what the code has."""
    found = [table for text in PAGES.values() for table in TABLE.findall(text)]
    for _, name, table, _ in found:
        assert make_table(name) == table, "run `python -m tests.docs_tables`, and look at what it has changed"
    expected = {"commands", "paths", "kinds of refusal", "breaches", "findings", "reserved values"}
    expected |= {f"flags of {one.name}" for one in COMMANDS if one.name != "serve" and list_arguments(one.name)}
    assert expected == {name for _, name, _, _ in found}
    for command in COMMANDS:
        assert f"\n## {command.name}\n" in PAGES["command-line"]


def test_every_vendor_key_is_explained() -> None:
    """The page on own gateways has a heading for each x-emulator- key, and a row for each key of its value."""
    definitions = json_schema.load_schema("gateway.schema.json").root["$defs"]
    schemas = {
        key: schema
        for one in definitions.values()
        for key, schema in one.get("properties", {}).items()
        if key.startswith("x-emulator-")
    }
    sections = {section.headings[-1]: section for section in Page("own-gateways", PAGES["own-gateways"]).sections}
    assert set(schemas) == {heading for heading in sections if heading.startswith("x-emulator-")}
    for key, schema in schemas.items():
        rows = {
            word
            for block in sections[key].blocks
            if isinstance(block, Table)
            for row in block.rows[1:]
            for word in re.findall(r"`([a-z_$]+)`", row[0])
        }
        keys = set(_list_keys(schema, definitions))
        assert rows <= keys, key
        assert keys - rows <= _ELSEWHERE, key


_ELSEWHERE: Final = {
    "$ref",
    "openai",
    "converted",
    "zhipu",
    "usual",
    "kind",
    "case",
    "content_type",
    "indent",
    "escape",
}
"""Keys whose meaning the text around a table has, or the table of another key."""


def _list_keys(schema: Any, definitions: Any) -> Iterator[str]:
    """The keys of the value of an x-emulator- key, and of the mappings inside of it."""
    if schema.get("$ref", "").rpartition("/")[2] in definitions:
        yield from _list_keys(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    for key, value in schema.get("properties", {}).items():
        yield key
        yield from _list_keys(value, definitions)
    for one in (*schema.get("oneOf", ()), *schema.get("anyOf", ())):
        yield from _list_keys(one, definitions)


def test_the_readme_is_short() -> None:
    """One sitting: 12 kB at most."""
    assert len(README.encode()) <= 12_000


def test_every_block_is_tested() -> None:
    """A block is of a language that one of these tests runs, or a scenario, or a file that another block uses."""
    for page, mark, language, text in BLOCKS:
        if language == "yaml":
            assert text.startswith(("# ", "scenario: ")), (page, text[:50])
        else:
            assert mark or language in ("sh", "python", "js", "yml", "json"), (page, language, text[:50])


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    """A link on a page leads to another page and to a heading that is there; the wheel has nothing else beside them."""
    for target in re.findall(r"\]\(([^)\s]+)\)", PAGES[page]):
        if target.startswith("https://"):
            continue
        file, _, heading = target.partition("#")
        name = file.removesuffix(".md") or page
        assert name in PAGES, target
        headings = re.findall(r"^#+ (.*)$", PAGES[name], re.MULTILINE)
        anchors = {re.sub(r"[^\w -]", "", one.lower()).replace(" ", "-") for one in headings}
        assert not heading or heading in anchors, target


def test_the_readmes_links_lead_somewhere() -> None:
    """Each file that the README links to is there."""
    if not (ROOT / "emulator").is_dir():
        pytest.skip("a wheel is tested without the checkout")
    for target in re.findall(r"\]\(([^)\s#]+)\)", README):
        assert target.startswith("https://") or (ROOT / target).is_file(), target


def test_the_index_has_every_page() -> None:
    """index.md lists each page once, under its title."""
    listed = re.findall(r"^- \[(.*?)\]\((.*?)\.md\)", PAGES["index"], re.MULTILINE)
    titles = {page: text.partition("\n")[0].removeprefix("# ") for page, text in PAGES.items() if page != "index"}
    assert sorted((title, page) for page, title in titles.items()) == sorted(listed)


def test_every_word_of_a_scenario_has_its_row() -> None:
    """Each key, matcher, fault, latency and kind that the schema of scenarios knows stands first in a row."""
    schema = json_schema.load_schema("scenario.schema.json").root
    definitions = schema["$defs"]
    words = set(schema["properties"]) | set(_list_keys(schema["properties"]["limits"], definitions))
    for name in ("rule", "matchers", "answer", "draw", "picture", "refuse", "canned", "latency", "fault"):
        words |= set(_list_keys(definitions[name], {}))
    rows = {
        word
        for block in Page("scenarios", PAGES["scenarios"]).blocks
        if isinstance(block, Table)
        for row in block.rows[1:]
        for cell in (row[0], row[-1])
        for word in re.findall(r"`([a-z0-9_]+)`", cell)
    }
    assert set() == words - rows - _OF_USAGE


_OF_USAGE: Final = {
    "input_tokens", "output_tokens", "total_tokens", "input_tokens_details", "output_tokens_details",
    "prompt_tokens", "completion_tokens", "text_tokens", "image_tokens", "cached_tokens",
}  # fmt: skip
"""Members of the usage, which are OpenAI's."""


def test_addresses_of_clients_are_those_of_gateways(server: Served) -> None:
    """Each address in the tables of the page on clients leads to a gateway: its base URL, or what a client adds to."""
    rows = [line for line in PAGES["clients"].splitlines() if line.startswith("| ")]
    found = {path for row in rows for path in re.findall(f'"{ADDRESS}(/[^"]+)"', row)}
    bases = {f"/{name}{gateway.base}" for name, gateway in server.app.registry.gateways.items()}
    assert {"/azure"} == found - bases
    assert {"/ezmodel/v1", "/azure/openai/v1", "/xai/v1", "/together/v1", "/openrouter/api/v1"} == found & bases


def _list_first_cells(page: str, head: str) -> list[str]:
    """The first cells of the table on a page whose first cell is `head`."""
    tables = (block for block in Page(page, PAGES[page]).blocks if isinstance(block, Table))
    (table,) = (table for table in tables if table.rows[0][0] == head)
    return [row[0] for row in table.rows[1:]]


def test_every_member_of_the_fixture_has_its_row() -> None:
    """The table of `image_api` names each public member of ImageApi and no other."""
    cells = _list_first_cells("pytest", "`image_api` has")
    named = {word for cell in cells for word in re.findall(r"`([a-z_]+)", cell)}
    assert {name for name in dir(ImageApi) if not name.startswith("_")} == named


def test_every_setting_of_pytest_has_its_row(pytestconfig: pytest.Config) -> None:
    """Some page names each setting and option of the plugin; the page on pytest has each word of the marker."""
    (marker,) = (line for line in pytestconfig.getini("markers") if line.startswith("image_api("))
    words = re.findall(r"(\w+)=", marker.partition(")")[0])
    assert [f"`{word}`" for word in words] == sorted(
        filter(None, _list_first_cells("pytest", "word of the marker")), key=lambda cell: words.index(cell.strip("`"))
    )
    for name in pytestconfig._parser._inidict:
        if name.startswith("image_api_"):
            assert any(f"`{name}`" in text for text in PAGES.values()), name
    for option in pytestconfig._parser.getgroup("image_api").options:
        assert any(option.names()[0] in text for text in PAGES.values()), option


def test_every_word_of_verify_has_its_row() -> None:
    """The page on verify has a row for each word of an expectation."""
    named = " ".join(_list_first_cells("verify", "word"))
    assert {f"`{word}`" for word in WORDS} - {"`when`"} == set(re.findall(r"`\w+`", named))
