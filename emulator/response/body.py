"""Builds the members of a reply: created, data, usage, and what it says of its pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from emulator.gateway import pricing
from emulator.gateway.formats import JsonFormat
from emulator.gateway.templates import drop_absent, fill_template
from emulator.image.recipe import ImageRecipe
from emulator.image.store import Picture
from emulator.messages import Call, Delivery, ResponseShape
from emulator.response.revised_prompt import format_parameter

WrapBody = Callable[[dict[str, Any], Mapping[str, Any]], dict[str, Any]]
"""Makes the body that is sent of a reply's body and of its members by name."""


def build_body(
    call: Call,
    *,
    created: Any,
    items: Sequence[Mapping[str, Any]],
    first: ImageRecipe,
    usage: Mapping[str, Any] | None = None,
    reply_id: str = "",
    wrap: WrapBody | None = None,
) -> dict[str, Any]:
    """Build the reply's members in their order; `items` are the members of each picture, `first` is the first one.

    `usage` is the usage, where it is known already; `reply_id` is what a template of the body names {id}. `wrap` makes
    of the body what is sent.
    """
    members = _build_members(call, created=created, items=items, first=first, usage=usage, reply_id=reply_id)
    body = _lay_out_body(call.response, members)
    if wrap is not None:
        return wrap(body, members)
    return body


def _build_members(
    call: Call,
    *,
    created: Any,
    items: Sequence[Mapping[str, Any]],
    first: ImageRecipe,
    usage: Mapping[str, Any] | None,
    reply_id: str,
) -> dict[str, Any]:
    """Build what a body may consist of, by name."""
    shape = call.response
    echoed = {}
    if shape.echoes:
        echoed = {f"parameter.{name}": value for name, value in drop_absent(call.params).items()}
    if shape.item is not None or shape.failed_item is not None or shape.data_fields:
        items = [_lay_out_item({**echoed, **item}, index, shape, first) for index, item in enumerate(items)]
    members: dict[str, Any] = {"created": created, "data": list(items), **echoed}
    if usage is None:
        usage = find_usage(call)
    if usage is not None:
        members["usage"] = usage
    if shape.body is not None:
        members |= {"id": reply_id, "model": call.model, "count": len(items), **_describe_picture(call, first)}
    elif any(name not in members for name in shape.fields):
        members |= _describe_picture(call, first)
    return members


def _lay_out_body(shape: ResponseShape, members: Mapping[str, Any]) -> dict[str, Any]:
    if shape.body is not None:
        body: dict[str, Any] = fill_template(shape.body, drop_absent(members))
        return body
    return {name: members[name] for name in shape.fields if name in members}


def _lay_out_item(item: Mapping[str, Any], index: int, shape: ResponseShape, first: ImageRecipe) -> Mapping[str, Any]:
    """Return the members of the picture `index`, from 0, as the model's reply has them; one with `error` has failed."""
    if shape.failed_item is not None and "error" in item:
        failed: dict[str, Any] = fill_template(shape.failed_item, {**drop_absent(item["error"]), "index": index})
        return failed
    if shape.item is not None:
        return _fill_item(item, index, shape, first)
    if shape.data_fields:
        return _order_item(item, shape)
    return item


def _fill_item(item: Mapping[str, Any], index: int, shape: ResponseShape, first: ImageRecipe) -> Mapping[str, Any]:
    """Return the members of the picture `index`, from 0, as the template of the model's reply has them."""
    values: dict[str, Any] = {
        "index": index,
        "number": index + 1,
        "size": f"{first.width}x{first.height}",
        "width": first.width,
        "height": first.height,
        "media_type": f"image/{first.format}",
        "delivery": "url" if "url" in item else "b64_json",
        **item,
    }
    assert shape.item is not None
    filled: dict[str, Any] = fill_template(shape.item, values)
    if shape.absent == "omitted":
        return filled
    blank = None if shape.absent == "null" else ""
    return {name: filled.get(name, blank) for name in shape.item}


def write_body(body: Mapping[str, Any], shape: ResponseShape, json_format: JsonFormat) -> bytes:
    """Return the members of a reply of `shape` as JSON."""
    written = json_format.encode(body)
    if shape.newline:
        written += b"\n"
    return written


def build_common_members(call: Call, *, created: int, first: ImageRecipe, partials: int) -> dict[str, Any]:
    """Build what the templates of a stream's events may name that is the same for all pictures.

    Each event has the usage of its own picture and of `partials` partial images, or where a stream is made of a whole
    reply the usage of all pictures.
    """
    stream = call.response.stream
    members: dict[str, Any] = {"created": created, "model": call.model, **_describe_picture(call, first)}
    if stream is None or not stream.partials:
        return drop_absent({**members, "usage": find_streamed_usage(call, partials)})
    if call.count != 1:
        call = replace(call, count=1)
    usage = find_streamed_usage(call, partials)
    if usage is not None and call.response.usage_body is None:
        usage = {name: usage[name] for name in _STREAMED_USAGE if name in usage}
    return drop_absent({**members, "usage": usage})


def find_streamed_usage(call: Call, partials: int) -> dict[str, Any] | None:
    """Return the usage of a call with `partials` partial images in all; None where its model's reply has none."""
    usage = find_usage(call)
    if usage is None or call.response.usage_body is not None:
        return usage
    return pricing.add_partials(usage, partials)


def find_usage(call: Call) -> dict[str, Any] | None:
    """Return the usage of a call, as its model's reply has it; None where that has none."""
    shape = call.response
    if shape.usage_body is not None:
        usage: dict[str, Any] = fill_template(shape.usage_body, _count_usage(call, shape))
        return usage
    if shape.usage is not None:
        return build_usage(call, shape, shape.usage)
    return None


def _count_usage(call: Call, shape: ResponseShape) -> dict[str, Any]:
    """Return what a template of a usage may name: tokens by the table of the model, if any, and money."""
    width, height = call.pixels
    values: dict[str, Any] = {
        "count": call.count,
        "uploads": len(call.uploads),
        "pixel_tokens": round(width * height / _PIXELS_A_TOKEN) * call.count,
    }
    if shape.usage is not None:
        values |= build_usage(call, ResponseShape(), shape.usage)
    dollars = pricing.price_call(call, call.count)
    if dollars is not None:
        values |= {"dollars": dollars, "ticks": round(dollars / pricing.TICK)}
    return values


def build_usage(call: Call, shape: ResponseShape, table: str) -> dict[str, Any]:
    """Build the usage of a call by the published table of its model, in the order of a reply of `shape`."""
    prompt, quality = format_parameter(call.effective.get("prompt")), str(call.effective.get("quality"))
    given = pricing.count_input_tokens(call, table) if call.uploads else (0, 0)
    tokens = pricing.count_usage(table, prompt, quality, pixels=call.pixels, count=call.count, inputs=given)
    usage: dict[str, Any] = {}
    for name in shape.usage_fields:
        usage[name] = tokens[name]
        if name.endswith("_details"):
            usage[name] = {detail: tokens[name][detail] for detail in shape.usage_details}
    return usage


def choose_delivery(call: Call) -> Delivery:
    """Return how the pictures of a call come, where no scenario changes it."""
    if call.response.delivery is not None:
        return call.response.delivery
    if call.gets_files:
        return "b64_json"
    return "b64_json" if call.effective.get("response_format") == "b64_json" else "url"


def write_files(pictures: Sequence[Picture | None], recipes: Sequence[ImageRecipe]) -> tuple[str, bytes]:
    """Return the media type and the bytes of a body that is a picture, or a ZIP of several."""
    drawn = [picture.data for picture in pictures if picture is not None]
    if len(drawn) == 1:
        return f"image/{recipes[0].served_as}", drawn[0]
    import io  # few gateways answer so
    import zipfile

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for index, data in enumerate(drawn):
            name = zipfile.ZipInfo(f"image_{index}.{recipes[index].served_as}")  # its time is always the same
            archive.writestr(name, data)
    return "application/zip", buffer.getvalue()


def find_user(call: Call) -> Any:
    """Return what a reply repeats as `safety_identifier`, if it has that member; None or empty: nothing."""
    return call.effective.get("safety_identifier") or call.effective.get("user")


def _order_item(item: Mapping[str, Any], shape: ResponseShape) -> Mapping[str, Any]:
    """Return the members of a picture in the model's order; with `blank` those without a value are empty texts."""
    if shape.blank:
        ordered = {name: item.get(name, "") for name in shape.data_fields}
    else:
        ordered = {name: item[name] for name in shape.data_fields if name in item}
    if item.get("b64_json", "") is None:  # a scenario has null there, whatever the model sends
        return {"url": item["url"], "b64_json": None, **ordered}
    return ordered


def _describe_picture(call: Call, first: ImageRecipe) -> dict[str, Any]:
    """Return what a reply says of its pictures; nothing of it is `auto`."""
    members: dict[str, Any] = {
        "background": first.background,
        "output_format": first.format,
        "media_type": f"image/{first.format}",
        "quality": first.quality,
        "size": f"{first.width}x{first.height}",
        "width": first.width,
        "height": first.height,
    }
    user = find_user(call)
    if user:
        members["safety_identifier"] = user
    return members


_PIXELS_A_TOKEN: Final = 256  # of models that count their tokens by the pixels of pictures
_STREAMED_USAGE: Final = ("input_tokens", "output_tokens", "total_tokens", "input_tokens_details")
