"""Files that calls bring: what is seen of them, what models take of them, and how long their bytes are kept."""

from __future__ import annotations

import gc
import hashlib
import io
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from PIL import Image

from emulator import ImageApi
from emulator.image import upload as enclosure
from emulator.image.inspect import examine_upload, flatten
from emulator.image.upload import PictureRule, Upload
from emulator.messages import Request
from emulator.validation import uploads
from tests.conftest import Served
from tests.described import Described
from tests.uploads import SUITE, data_url, draw_file

KEY: Final = {"authorization": "Bearer sk-uploads"}


def chunk(kind: bytes, data: bytes) -> bytes:
    """A part of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def bomb(width: int, height: int) -> bytes:
    """A small file of an RGBA picture that is large."""
    pixels = deflate_zeros(height * (1 + 4 * width))
    head = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def deflate_zeros(count: int) -> bytes:
    """So many zeros as zlib has them: one packed block again and again, as to pack a gigabyte takes seconds."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    size = 2**20
    block = packer.compress(bytes(size)) + packer.flush(zlib.Z_FULL_FLUSH)
    rest = packer.compress(bytes(count % size)) + packer.flush()
    checksum = (count % 65521) << 16 | 1  # Adler-32 of zeros
    return b"\x78\xda" + block * (count // size) + rest + checksum.to_bytes(4, "big")


# --- what is seen ---


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (draw_file("PNG", "RGB"), ("png", "RGB", None)),
        (draw_file("PNG", "L"), ("png", "L", None)),
        (draw_file("PNG", "1"), ("png", "1", None)),
        (draw_file("PNG", "P"), ("png", "P", None)),
        (draw_file("PNG", "I;16"), ("png", "I;16", None)),
        (draw_file("PNG", "LA"), ("png", "LA", 0.0)),
        (draw_file("PNG", "RGBA"), ("png", "RGBA", 0.0)),
        (draw_file("JPEG", "RGB"), ("jpeg", "RGB", None)),
        (draw_file("JPEG", "L"), ("jpeg", "L", None)),
        (draw_file("JPEG", "CMYK"), ("jpeg", "CMYK", None)),
        (draw_file("WEBP", "RGB"), ("webp", "RGB", None)),
        (draw_file("WEBP", "RGBA", lossless=True), ("webp", "RGBA", 0.0)),
    ],
)
def test_what_is_seen_of_a_picture(data: bytes, expected: tuple[str, str, float | None]) -> None:
    """Format by its bytes, size, kind of pixels, transparency, digest, and a thumbnail's colours."""
    seen = examine_upload(data)
    assert expected == (seen.format, seen.mode, seen.alpha_share)
    assert (64, 48, None) == (seen.width, seen.height, seen.flaw)
    assert (hashlib.sha256(data).hexdigest(), len(data)) == (seen.sha256, seen.bytes)
    colours = bytes.fromhex(seen.palette)
    assert 4 * 3 * 3 == len(colours)
    assert colours[0] < colours[-1]  # the gradient goes from black to white


def test_the_share_of_what_is_see_through() -> None:
    """A quarter of the pixels is counted as one, in every way that a PNG can say so."""
    quarter = Image.new("RGBA", (20, 20), (9, 9, 9, 255))
    quarter.paste((0, 0, 0, 0), (0, 0, 10, 10))
    ways: list[tuple[Image.Image, dict[str, Any]]] = [
        (quarter, {}),
        (quarter.convert("LA"), {}),
        (quarter.convert("RGB"), {"transparency": (0, 0, 0)}),
        (quarter.convert("L"), {"transparency": 0}),
        (quarter.convert("RGB").quantize(4), {}),
    ]
    for image, options in ways:
        data = io.BytesIO()
        if image.mode == "P":
            options = {"transparency": image.getpixel((0, 0))}
        image.save(data, "PNG", **options)
        assert 0.25 == examine_upload(data.getvalue()).alpha_share, image.mode


def test_sixteen_bits_of_grey_are_scaled() -> None:
    """Half of what 16 bits can say is grey, and not white."""
    image = Image.new("I;16", (2, 1))
    image.putdata([32768, 256])
    assert (128,) * 3 + (1,) * 3 == tuple(flatten(image).tobytes())


@pytest.mark.parametrize("path", SUITE, ids=lambda path: path.stem)
def test_the_suite_of_pngs(path: Path) -> None:
    """Each sound picture is seen whole, and each corrupt one, which begins with x, is a flaw."""
    seen = examine_upload(path.read_bytes())
    assert path.stem.startswith("x") == (seen.flaw is not None)


@pytest.mark.parametrize(
    ("data", "flaw", "kind"),
    [
        (b"", "strange", None),
        (b"Example data", "strange", None),
        (draw_file("GIF", "P"), "strange", None),
        (draw_file("BMP"), "strange", None),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "strange", None),
        (draw_file()[:8], "damaged", "png"),
        (draw_file()[:-12], "damaged", "png"),
        (draw_file()[:60], "damaged", "png"),
        (draw_file("JPEG")[:-200], "damaged", "jpeg"),
        (b"\xff\xd8\xff", "damaged", "jpeg"),
        (draw_file("WEBP")[:-30], "damaged", "webp"),
        (b"RIFF\0\0\0\0WEBP", "damaged", "webp"),
        (bomb(4097, 4096), "huge", "png"),
        (bomb(16384, 1025), "huge", "png"),
    ],
)
def test_what_is_no_picture(data: bytes, flaw: str, kind: str | None) -> None:
    """Strange, damaged or too large; a cut file is still of its format."""
    seen = examine_upload(data)
    assert (flaw, kind) == (seen.flaw, seen.format)


def test_the_largest_picture_is_none_too_many() -> None:
    """4096 x 4096 pixels are looked at."""
    seen = examine_upload(bomb(4096, 4096))
    assert (None, 1.0) == (seen.flaw, seen.alpha_share)


_WEIGH: Final = """
import sys
from pathlib import Path
from emulator.image.inspect import examine_upload, flatten
def peak(): return int(next(l for l in open("/proc/self/status") if l.startswith("VmHWM")).split()[1]) / 1024
examine_upload(Path(sys.argv[2]).read_bytes())
before = peak()
seen = examine_upload(Path(sys.argv[1]).read_bytes())
print(seen.flaw, peak() - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="it is told by /proc how much memory was needed")
@pytest.mark.parametrize(
    ("make", "flaw"),
    [
        (lambda: bomb(13_377, 13_377), "huge"),
        (lambda: bomb(65_000, 65), "None"),
        (lambda: bomb(4096, 4096), "None"),
        (lambda: bomb(1, 2_000_000), "damaged"),
        (lambda: bomb(8, 8)[:33] + chunk(b"tEXt", b"") * 1_000_000 + bomb(8, 8)[33:], "damaged"),
        (lambda: draw_file("WEBP", "RGB", (4096, 4096), quality=1), "None"),
        (lambda: draw_file("WEBP", "RGBA", (4096, 4096), quality=1), "None"),
        (lambda: _inside(b"zTXt", b"a\0\0" + deflate_zeros(300_000_000)), "damaged"),
        (lambda: _inside(b"iCCP", b"a\0\0" + deflate_zeros(300_000_000)), "damaged"),
    ],
    ids=[
        "13377 x 13377",
        "65000 x 65",
        "4096 x 4096",
        "a thin one",
        "a million chunks",
        "a WebP",
        "a clear WebP",
        "a text of 300 MB",
        "a profile of 300 MB",
    ],
)
def test_bombs_stay_small(tmp_path: Path, make: Callable[[], bytes], flaw: str) -> None:
    """No file of a few kilobytes makes the server need more than 150 MB."""
    (tmp_path / "bomb.png").write_bytes(make())
    (tmp_path / "small.png").write_bytes(draw_file())
    command = [sys.executable, "-c", _WEIGH, str(tmp_path / "bomb.png"), str(tmp_path / "small.png")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    said, needed = done.stdout.split()
    assert flaw == said
    assert float(needed) <= 150


def _inside(kind: bytes, data: bytes) -> bytes:
    plain = bomb(8, 8)
    return plain[:33] + chunk(kind, data) + plain[33:]


# --- what models take ---


def upload(name: str = "image", kind: str = "image/png", data: bytes | None = None, **look: Any) -> Upload:
    """An upload that was looked at; fields of the look may be made up."""
    data = draw_file() if data is None else data
    return Upload(name, "a.png", kind, data, replace(examine_upload(data), **look))


ANY: Final = {"image": PictureRule(bytes=50_000, many=True), "mask": PictureRule(("png",), 5000, alpha=True, fits=True)}
LEGACY: Final = {"image": PictureRule(("png",), 4 * 2**20, square=True, modes=("RGBA", "LA", "L"))}
TYPES: Final = ("image/png", "image/jpeg", "image/webp")
STRICT: Final = {"image": PictureRule(types=TYPES), "images": PictureRule(types=TYPES)}
SQUARE: Final = draw_file("PNG", "RGBA", (40, 40))


@pytest.mark.parametrize(
    ("rules", "given", "violations"),
    [
        (ANY, [upload()], []),
        (ANY, [upload(kind="application/octet-stream")], []),
        (ANY, [upload(kind="")], []),
        (ANY, [upload(kind="image/jpg", data=draw_file("JPEG"))], []),
        (ANY, [upload(kind="image/png", data=draw_file("WEBP"))], []),  # its bytes tell, not its name
        (ANY, [upload(kind="audio/wav")], []),
        (ANY, [upload("image[]"), upload("image[]", kind="image/gif", data=b"GIF89a")], ["picture_type image[1]"]),
        (ANY, [upload(kind="application/octet-stream", data=b"Example data")], ["picture_type image"]),
        (ANY, [upload(kind="image/png", data=b"Example data")], ["damaged_picture image"]),
        (ANY, [upload(data=draw_file()[:-20])], ["damaged_picture image"]),
        (ANY, [upload("image[]", flaw="huge")], ["damaged_picture image[0]"]),
        (ANY, [upload(bytes=50_001)], ["picture_bytes image"]),
        (ANY, [upload(), upload("mask", data=draw_file("PNG", "RGBA"))], []),
        (ANY, [upload("mask", data=draw_file("PNG", "RGBA")), upload()], []),
        (ANY, [upload(), upload("mask", data=draw_file("PNG", "RGB"))], ["mask_without_alpha mask"]),
        (ANY, [upload(), upload("mask", data=draw_file("PNG", "RGBA", (64, 47)))], ["mask_size mask"]),
        (ANY, [upload(), upload("mask", kind="image/webp", data=draw_file("WEBP"))], ["picture_kind mask"]),
        (ANY, [upload("markup", data=b"x")], []),  # no rule, so none of our business
        (LEGACY, [upload(data=SQUARE)], []),
        (LEGACY, [upload(kind="image/webp", data=draw_file("WEBP", "RGBA", (40, 40)))], ["picture_kind image"]),
        (LEGACY, [upload(data=SQUARE, bytes=4 * 2**20 + 1)], ["picture_kind image"]),
        (LEGACY, [upload(data=draw_file("PNG", "RGBA"))], ["picture_not_square image"]),
        (LEGACY, [upload(data=draw_file("PNG", "RGB", (40, 40)))], ["picture_mode image"]),
        (STRICT, [upload(kind="application/octet-stream")], ["picture_type image"]),
        (STRICT, [upload(kind="")], ["picture_untyped image"]),
        (STRICT, [upload("image[]"), upload("image[]", kind="")], ["picture_untyped image[1]"]),
        (STRICT, [replace(upload("images[0].image_url", kind=""), in_json=True)], []),  # nobody has called it anything
        (STRICT, [upload(kind="audio/wav", data=b"Example data")], ["picture_type image"]),
        (STRICT, [upload(kind="image/webp")], []),  # its claim is believed
    ],
)
def test_what_models_take(rules: Mapping[str, PictureRule], given: list[Upload], violations: list[str]) -> None:
    """Each picture is held against its parameter's rule, and what comes first is told."""
    found = [f"{broken.violation} {broken.param}" for broken, _ in uploads.find_violations(given, {}, rules)]
    assert violations == found


# --- pictures in JSON ---


def call(body: Any) -> Request:
    """A call with a JSON body."""
    return Request("POST", "/", "", {}, b"{}", body, None, (), "", 0)


def test_pictures_in_json_are_uploads() -> None:
    """data: URLs and bare Base64 are taken out and looked at; what stays behind is short."""
    body = {
        "prompt": "data:image/png;base64,AAAA",
        "images": [
            {"image_url": data_url(draw_file())},
            {"file_id": "file-1"},
            {"image_url": "https://x.test/a.png"},
        ],
        "mask": {"image_url": data_url(draw_file("JPEG"), "image/jpeg")},
        "image": data_url(draw_file("WEBP")).partition(",")[2],
    }
    got = uploads.examine_uploads(call(body), {})
    assert [("image", "webp"), ("images[0].image_url", "png"), ("mask.image_url", "jpeg")] == [
        (one.name, one.examination.format) for one in got.uploads if one.examination
    ]
    assert ["image", "image", "mask"] == [one.role for one in got.uploads]
    assert 400 > len(str(got.json))
    assert ("data:image/png;base64,AAAA", "file-1") == (got.json["prompt"], got.json["images"][1]["file_id"])
    assert b"" == got.body
    assert body["images"][0]["image_url"].startswith("data:")  # type: ignore[index]  # what came is left alone


@pytest.mark.parametrize(
    ("text", "violation", "param"),
    [
        ("https://x.test/a.png", "unreachable_picture", "url"),
        ("data:image/png,plain", "picture_data", "images[0].image_url"),
        ("data:image/png;base64,", "picture_data", "images[0].image_url"),
        ("data:image/png;base64,????", "picture_data", "images[0].image_url"),
        ("data:image/png;base64,AAAA", "picture_data", "images[0].image_url"),
        ("ftp://x.test", "picture_data", "images[0].image_url"),
        ("", "picture_data", "images[0].image_url"),
        ("A" * (uploads.LONGEST_URL + 1), "too_long", "images[0].image_url"),
    ],
    ids=lambda text: text[:30],
)
def test_texts_that_are_no_pictures(text: str, violation: str, param: str) -> None:
    """A link is never followed, and what does not decode is told as it is."""
    got = uploads.examine_uploads(call({"images": [{"image_url": text}]}), {})
    found = list(uploads.find_violations(got.uploads, got.json, {"images": PictureRule(many=True)}))
    assert [(violation, param)] == [(broken.violation, broken.param) for broken, _ in found]
    assert (["nothing_fetched"] if violation == "unreachable_picture" else []) == [one.code for one in found[0][1]]


# --- what is kept ---


def edit(served: Served, session: str, files: Any = None, data: Any = None, gateway: str = "geeknow") -> httpx.Response:
    """An edit in a session of its own."""
    return httpx.post(
        f"{served.base(gateway)}/images/edits",
        files={"image": ("a.png", draw_file(), "image/png")} if files is None else files,
        data={"model": "gpt-image-1", "prompt": "x", **(data or {})},
        headers={**KEY, "x-emulator-session": session},
    )


def test_the_journal_tells_of_uploads(server: Served) -> None:
    """Name, digest, format, size and transparency, but no bytes; those can be had, in this session alone."""
    picture, mask = draw_file(), draw_file("PNG", "RGBA")
    files = [("image[]", ("a.png", picture, "Image/PNG; charset=binary")), ("mask", ("m", mask, ""))]
    assert 200 == edit(server, "told", files).status_code
    ask = Described(server)
    told = ask.get("/sessions/told/calls/latest")["uploads"]
    digest = hashlib.sha256(picture).hexdigest()
    assert {
        "name": "image[]", "filename": "a.png", "media_type": "image/png", "sha256": digest, "format": "png",
        "width": 64, "height": 48,
        "alpha_share": None, "bytes": len(picture),
    } == told[0]  # fmt: skip
    assert ("mask", 0.0, None) == (told[1]["name"], told[1]["alpha_share"], told[1]["media_type"])
    response = ask("GET", f"/sessions/told/uploads/{digest}")
    assert (200, "image/png", picture) == (response.status_code, response.headers["content-type"], response.content)
    assert (404, "digest") == ask.error("GET", f"/sessions/told/uploads/{'0' * 64}")[:2]
    edit(server, "another", files[1:])
    assert (404, "digest") == ask.error("GET", f"/sessions/another/uploads/{digest}")[:2]
    assert (404, "session") == ask.error("GET", f"/sessions/nobody/uploads/{digest}")[:2]


def test_bytes_are_let_go_of(serve: Callable[..., Served]) -> None:
    """What is not kept any more is said to be so, and the journal still knows what it was."""
    served = serve(upload_bytes=1)
    assert 200 == edit(served, "s").status_code
    told = served.calls("s")[0]["uploads"][0]
    gc.collect()
    error = Described(served).error("GET", f"/sessions/s/uploads/{told['sha256']}")
    assert (404, "digest", "the upload is not kept any more") == error


def test_secrets_in_forms_are_blanked(server: Served) -> None:
    """A key in a text, in a name, in a file's name or in a body that is no form appears nowhere."""
    secret = "sk-canary1234567890abcdef"
    form = [("image", (f"{secret}.png", draw_file(), "image/png")), (secret, ("x", b"x"))]
    edit(server, "canary", form, {"user": secret, "api_key": "abc123def456"})
    broken = f'--B\r\nContent-Disposition: form-data; name="api_key"\r\n\r\nabc123def456\r\n--B\r\n{secret}'
    httpx.post(
        f"{server.base('geeknow')}/images/edits", content=broken,
        headers={**KEY, "content-type": "multipart/form-data; boundary=B", "x-emulator-session": "canary"},
    )  # fmt: skip
    seen = httpx.get(f"{server.url}/_emulator/sessions/canary/calls").text
    assert '"bad_form"' in seen
    assert secret not in seen
    assert "abc123def456" not in seen


def test_scripts_and_tests_can_name_uploads(server: Served) -> None:
    """`when` sees each file by its role, and by its place among its kind, in a script and in a verification."""
    ask = Described(server)
    rules = [
        {"when": {"uploads": {"image": {"width": 64}, "mask": {"absent": True}}}, "answers": {"refuse": "overloaded"}},
        {"when": {"uploads.image[1].format": "webp"}, "answers": {"refuse": "rate_limit"}},
        {"when": {"uploads": {"mask": {"alpha_share": {"at_most": 0.5}}}}, "answers": {"refuse": "moderation"}},
    ]
    assert 200 == ask("PUT", "/sessions/when/scenario", {"rules": rules}).status_code
    webp = ("b", draw_file("WEBP", "RGB", (30, 30)), "image/webp")
    asked: list[tuple[Any, int]] = [
        ([("image", draw_file())], 503),
        ([("image[]", draw_file("PNG", "RGB", (30, 30))), ("image[]", webp)], 429),
        ([("image", draw_file("PNG", "RGB", (30, 30))), ("mask", draw_file("PNG", "RGBA", (30, 30)))], 400),
        ([("image", draw_file("PNG", "RGB", (30, 30)))], 200),
    ]
    assert [status for _, status in asked] == [edit(server, "when", files).status_code for files, _ in asked]
    question = {"when": {"operation": "edit", "uploads": {"image": {"width": 30}, "count": 2}}, "times": 2}
    assert ask("POST", "/sessions/when/verify", question).json()["ok"]
    wrong = ask("POST", "/sessions/when/verify", {"when": {"uploads": {"image": {"format": "jpeg"}}}}).json()
    assert not wrong["ok"]
    assert 'uploads.image.format: expected "jpeg", came "png"' in wrong["message"]


def test_scripts_and_tests_can_name_what_a_client_calls_a_file(server: Served) -> None:
    """`media_type` and `filename` are matched in a rule and in a verification; a slip gets the nearest word."""
    ask = Described(server)
    rules = [
        {"when": {"uploads.image.media_type": "image/webp"}, "answers": {"refuse": "overloaded"}},
        {"when": {"uploads": {"image": {"filename": {"matches": "^cat"}}}}, "answers": {"refuse": "rate_limit"}},
    ]
    assert 200 == ask("PUT", "/sessions/claims/scenario", {"rules": rules}).status_code
    asked = [("a.png", "image/webp", 503), ("cat.png", "image/png", 429), ("a.png", "image/png", 200)]
    for filename, media_type, status in asked:
        assert status == edit(server, "claims", [("image", (filename, draw_file(), media_type))]).status_code
    for when, times in (
        ({"uploads.image.media_type": "image/webp"}, 1),
        ({"uploads": {"image": {"media_type": {"not": "image/webp"}}}}, 2),
        ({"uploads.image.filename": "a.png"}, 2),
    ):
        assert ask("POST", "/sessions/claims/verify", {"when": when, "times": times}).json()["ok"]
    image_api = ImageApi(server.url, "claims", gateway="geeknow")
    image_api.verify(times=2, uploads={"image": {"filename": "a.png"}})
    with pytest.raises(AssertionError, match=r'uploads\.image\.media_type: expected "image/gif", came "image/png"'):
        image_api.verify(uploads={"image": {"media_type": "image/gif"}})
    assert ["image/webp", "image/png", "image/png"] == [call.uploads[0].media_type for call in image_api.calls]


@pytest.mark.parametrize(
    ("path", "nearest"),
    [
        ("image.media_typ", "media_type"),
        ("image.file_name", "filename"),
        ("imgae.format", "image"),
        ("masc.bytes", "mask"),
    ],
)
def test_slips_in_the_names_of_uploads(server: Served, path: str, nearest: str) -> None:
    """A field of an upload that no upload has is refused with the nearest word, in a rule and in a verification."""
    ask = Described(server)
    rules = {"rules": [{"when": {f"uploads.{path}": "x"}, "answers": "draw"}]}
    for answer in (
        ask("PUT", "/sessions/slips/scenario", rules),
        ask("POST", "/sessions/slips/verify", {"when": {f"uploads.{path}": "x"}}),
    ):
        assert 400 == answer.status_code
        assert f"did you mean {nearest!r}?" in answer.text


def test_names_of_uploads() -> None:
    """Pictures of a form and of JSON go by one name."""
    given = [upload("images[0].image_url"), upload("images[1].image_url", width=7), upload("mask.image_url", width=9)]
    named = enclosure.describe_uploads(given)
    assert (64, 64, 7, 9, 3) == (
        named["image"]["width"], named["image[0]"]["width"], named["image[1]"]["width"], named["mask"]["width"],
        named["count"],
    )  # fmt: skip
    assert {} == enclosure.describe_uploads([])
