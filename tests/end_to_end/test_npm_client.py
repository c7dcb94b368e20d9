"""The openai client from npm, unmodified, once for each gateway."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Final

from tests.conftest import Served
from tests.node import run_script

MODELS: Final = {"geekai": "cogview-4", "ezmodel": "dall-e-2", "geeknow": "gpt-image-1", "aiai": "dall-e-3"}
SCRIPT: Final = """
import OpenAI from "openai";
const [gateways] = [JSON.parse(process.argv[2])];
const heard = {};
for (const [name, {baseURL, model}] of Object.entries(gateways)) {
  const client = new OpenAI({baseURL, apiKey: "sk-from-node", maxRetries: 0});
  const linked = await client.images.generate({model, prompt: "A cat"});
  const picture = Buffer.from(await (await fetch(linked.data[0].url)).arrayBuffer());
  const inline = await client.images.generate({model, prompt: "A cat", response_format: "b64_json"});
  const same = picture.equals(Buffer.from(inline.data[0].b64_json, "base64"));
  const models = (await client.models.list()).data.map((one) => one.id);
  const error = await client.images.generate({model, prompt: "A cat", n: 99}).catch((caught) => caught);
  heard[name] = {
    same, listed: models.includes(model), created: Number.isInteger(linked.created), raised: error.constructor.name,
    status: error.status, code: error.code, param: error.param, id: (error.requestID ?? "").slice(0, 4),
  };
}
console.log(JSON.stringify(heard));
"""


STREAM: Final = """
import OpenAI from "openai";
const client = new OpenAI({baseURL: process.argv[2], apiKey: "sk-from-node", maxRetries: 0});
const asked = {model: "gpt-image-1", quality: "low", stream: true, partial_images: 2};
const heard = [];
for await (const event of await client.images.generate({...asked, prompt: "A cat"})) {
  const size = Buffer.from(event.b64_json, "base64").readUInt32BE(16);
  heard.push([event.type, event.partial_image_index ?? null, event.usage?.output_tokens ?? null, size]);
}
for await (const event of await client.images.generate({...asked, prompt: "A cat"})) {
  heard.push(["left", event.partial_image_index]);
  break;
}
const cut = await client.images.generate({...asked, prompt: "A cat", size: "1x1"}).catch((caught) => caught);
heard.push([cut.constructor.name, cut.param]);
console.log(JSON.stringify(heard));
"""


EVERY: Final = """
import OpenAI, { toFile } from "openai";
const client = new OpenAI({baseURL: process.argv[2], apiKey: "sk-from-node", maxRetries: 0});
const model = "gpt-image-2", heard = {};
const side = (one) => Buffer.from(one.b64_json, "base64").readUInt32BE(16);
const drawn = await client.images.generate({model, prompt: "A cat", quality: "low", size: "1536x864"});
heard.drawn = [side(drawn.data[0]), drawn.usage.output_tokens, drawn.size];
const image = await toFile(Buffer.from(drawn.data[0].b64_json, "base64"), "cat.png", {type: "image/png"});
const edited = await client.images.edit({model, image: [image, image], prompt: "A dog", size: "1024x1024"});
heard.edited = [side(edited.data[0]), edited.usage.input_tokens_details.image_tokens > 0];
heard.events = [];
for await (const event of await client.images.edit({model, image, prompt: "A dog", stream: true, partial_images: 1}))
  heard.events.push(event.type);
const gone = await client.images.createVariation({image}).catch((caught) => caught);
const bytes = Buffer.from(drawn.data[0].b64_json, "base64");
const wrong = await client.images.edit({model, image: await toFile(bytes), prompt: "x"}).catch((caught) => caught);
const listed_wrong = await client.images.edit({model, image: [await toFile(bytes, "a.png")], prompt: "x"})
  .catch((caught) => caught);
heard.refused = [gone.constructor.name, wrong.constructor.name, wrong.param, wrong.code, listed_wrong.param];
const listed = [];
for await (const one of client.models.list()) listed.push(one.id);
const none = await client.models.retrieve("no-such-model").catch((caught) => caught);
const deleted = await client.models.delete("ft:gpt-4o-mini:acemeco:suffix:abc123");
heard.models = [listed.includes(model), (await client.models.retrieve(model)).id, none.code, deleted.deleted];
console.log(JSON.stringify(heard));
"""


def test_the_npm_client(server: Served) -> None:
    """Links, Base64, models and errors arrive as the npm client's own types."""
    gateways = {name: {"baseURL": server.base(name), "model": model} for name, model in MODELS.items()}
    heard = run_script(SCRIPT, json.dumps(gateways))
    expected = {
        "same": True, "listed": True, "created": True, "raised": "BadRequestError", "status": 400,
        "code": "integer_above_max_value", "param": "n", "id": "req_",
    }  # fmt: skip
    assert dict.fromkeys(MODELS, expected) == heard


def test_the_npm_client_reads_a_stream(server: Served) -> None:
    """Events arrive in their order, a client may leave after the first, and a refusal is no stream."""
    assert [
        ["image_generation.partial_image", 0, None, 1024],
        ["image_generation.partial_image", 1, None, 1024],
        ["image_generation.completed", None, 472, 1024],
        ["left", 0],
        ["BadRequestError", "size"],
    ] == run_script(STREAM, server.base("aiai"))


def test_every_method_of_the_npm_client(serve: Callable[..., Served]) -> None:
    """All that it has for images and models, at OpenAI's own gateway: pictures are measured, refusals are its own."""
    served = serve(as_of="2026-11-20")
    assert {
        "drawn": [1536, 120, "1536x864"],
        "edited": [1024, True],
        "events": ["image_edit.partial_image", "image_edit.completed"],
        "refused": ["NotFoundError", "BadRequestError", "image", "unsupported_file_mimetype", "image[0]"],
        "models": [True, "gpt-image-2", "model_not_found", True],
    } == run_script(EVERY, served.base("openai"))
