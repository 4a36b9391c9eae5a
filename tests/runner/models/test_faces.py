"""What every vendor's face must do alike: a tool loop, its errors, its streams that break, its keys."""

import json

import pytest

from runner.models import open_model
from runner.models.base import Entry, ErrorKind, ModelError, ModelSpec, Place, Reply, ToolCall, ToolResult
from tests.runner.models import fake_vendor as wire
from tests.runner.models.faces import BASH, FACES, KEY, TOOLS, Face
from tests.runner.models.fake_vendor import Answer, Call, FakeVendor

every_face = pytest.mark.parametrize("face", FACES, ids=lambda face: face.vendor)
PLACE = Place("coder")
GO = [Entry(user="go")]


def failure(face: Face, vendor_server: FakeVendor, answer: Answer, **more: float) -> ModelError:
    vendor_server.answer(answer)
    with pytest.raises(ModelError) as caught:
        face.open(vendor_server.url, **more).ask("sys", GO, TOOLS, max_tokens=100, place=PLACE)
    return caught.value


@every_face
def test_a_tool_loop_runs_and_its_reply_goes_back_as_it_came(face: Face, vendor_server: FakeVendor) -> None:
    """Two parallel calls, both results in the next request, the reply before them unchanged."""
    calls = (Call("bash", {"command": "ls"}, "a1"), Call("bash", {"command": "pwd é"}, "a2"))
    vendor_server.answer(wire.sse(face.calls(*calls)), face.says("all done"))
    model = face.open(vendor_server.url)
    first = model.ask("sys", GO, TOOLS, max_tokens=100, place=PLACE)
    assert first.stop == "tools" and [call.args for call in first.calls] == [{"command": "ls"}, {"command": "pwd é"}]
    results = tuple(ToolResult(call, f"out of {call.id}") for call in first.calls)
    second = model.ask("sys", [*GO, Entry(reply=first), Entry(results=results)], TOOLS, max_tokens=100, place=PLACE)
    assert (second.text, second.stop, second.calls) == ("all done", "end", ())
    sent = json.dumps(vendor_server.journal[1].body)
    assert json.dumps(first.wire)[1:-1] in sent, "the reply was not replayed as it came"
    assert sent.index("out of a1") < sent.index("out of a2")
    assert "sys" in sent and BASH.description in sent


@every_face
def test_a_stream_without_a_stop_reason_is_a_network_error(face: Face, vendor_server: FakeVendor) -> None:
    """Half an answer is never taken for one, wherever it was cut."""
    whole = face.calls(Call("bash", {"command": "ls"}))
    last = 2 if face.vendor == "openai-compatible" else 1
    for length in range(len(whole) - last):
        assert failure(face, vendor_server, wire.sse(whole[:length])).kind == "network"


@every_face
def test_a_connection_that_drops_is_a_network_error(face: Face, vendor_server: FakeVendor) -> None:
    """The SDKs let this through as exceptions of three different libraries."""
    error = failure(face, vendor_server, wire.sse(face.text("hello")[:1], promise=100_000))
    assert error.kind == "network" and error.retryable and error.reached


@every_face
def test_a_server_that_falls_silent_is_left(face: Face, vendor_server: FakeVendor) -> None:
    """google-genai would wait for ever."""
    error = failure(face, vendor_server, wire.sse(face.text("hello")[:1], hang=True), read_timeout=0.2)
    assert error.kind == "network" and "0.2 s" in str(error)


@every_face
def test_nobody_there_is_a_network_error_that_cost_nothing(face: Face) -> None:
    """A local server that is not up yet."""
    with pytest.raises(ModelError) as caught:
        face.open("http://127.0.0.1:1").ask("sys", GO, [], max_tokens=100, place=PLACE)
    assert (caught.value.kind, caught.value.reached) == ("network", False)


@every_face
def test_a_good_status_with_a_page_in_it_is_a_server_error(face: Face, vendor_server: FakeVendor) -> None:
    """A captive portal, or a wrong `base-url`: the SDKs raise a bare JSONDecodeError."""
    for body in ("<html>hello</html>", '{"hello": 1}'):
        error = failure(face, vendor_server, Answer(body.encode(), content_type="text/html"))
        assert error.kind == "server" and "base-url" in str(error) and "hello" in str(error)


@every_face
def test_an_event_that_is_not_whole_is_a_network_error(face: Face, vendor_server: FakeVendor) -> None:
    """Never skipped: what it held would be missing."""
    events = face.text("hello")
    assert failure(face, vendor_server, wire.sse([events[0], '{"half', *events[1:]])).kind == "network"


@every_face
@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, {"error": {"message": "nope"}}, "request"),
        (401, {"error": {"message": "bad key"}}, "auth"),
        (402, {"error": {"message": "pay"}}, "quota"),
        (403, {"error": {"message": "no"}}, "auth"),
        (404, {"error": {"message": "no such model"}}, "unknown_model"),
        (413, {"error": {"message": "too large"}}, "context"),
        (422, {"error": {"message": "nope"}}, "request"),
        (429, {"error": {"message": "slow"}}, "rate"),
        (500, "<html>oops</html>", "server"),
        (503, {"error": {"message": "busy"}}, "overload"),
        (529, {"error": {"message": "busy"}}, "overload"),
    ],
)
def test_a_status_means_the_same_at_every_vendor(
    face: Face, vendor_server: FakeVendor, status: int, body: object, kind: ErrorKind
) -> None:
    """One request each: no SDK retries behind the loop's back."""
    error = failure(face, vendor_server, wire.error(status, body))
    assert (error.kind, error.status, len(vendor_server.journal)) == (kind, status, 1)


@every_face
def test_retry_after_is_handed_on_in_seconds_or_as_a_date(face: Face, vendor_server: FakeVendor) -> None:
    """RFC 9110, 10.2.3; a date counts from the server's own clock."""
    seconds = wire.error(429, {"error": {"message": "slow"}}, retry_after="7")
    start, later = "Tue, 24 Nov 2026 04:00:00 GMT", "Tue, 24 Nov 2026 04:01:30 GMT"
    date = wire.error(429, {"error": {"message": "slow"}}, retry_after=later, date=start)
    assert failure(face, vendor_server, seconds).retry_after == 7.0
    assert failure(face, vendor_server, date).retry_after == 90.0
    assert failure(face, vendor_server, wire.error(429, {"error": {}}, retry_after="soon")).retry_after is None


@every_face
def test_a_key_is_sent_and_never_shown(face: Face, vendor_server: FakeVendor) -> None:
    """A server that repeats the key in its error does not bring it into a log."""
    error = failure(face, vendor_server, wire.error(401, {"error": {"message": f"wrong key {KEY}."}}))
    assert KEY not in str(error) and "wrong key ***" in str(error)
    sent = vendor_server.journal[0].headers
    assert KEY in (sent.get("x-goog-api-key") or sent["authorization"])


@every_face
def test_nothing_of_the_environment_reaches_the_wire(
    face: Face, vendor_server: FakeVendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keys, addresses and organisations that an SDK would pick up by itself."""
    for vendor in ("ANTHROPIC", "OPENAI", "GOOGLE_GEMINI"):
        monkeypatch.setenv(f"{vendor}_BASE_URL", "http://127.0.0.1:1/env")
    for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "OPENAI_API_KEY", "GOOGLE_API_KEY", "GEMINI_API_KEY"):
        monkeypatch.setenv(name, "from-the-environment")
    for name in ("OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "GOOGLE_CLOUD_PROJECT", "GOOGLE_GENAI_API_VERSION"):
        monkeypatch.setenv(name, "from-the-environment")
    monkeypatch.setenv("GOOGLE_GENAI_USE_VERTEXAI", "true")
    vendor_server.answer(face.says("hello"))
    assert face.open(vendor_server.url).ask("sys", GO, [], max_tokens=9, place=PLACE).text == "hello"
    request = vendor_server.journal[0]
    assert "environment" not in json.dumps([dict(request.headers), request.path])


@every_face
def test_another_models_replies_are_read_and_not_replayed(face: Face, vendor_server: FakeVendor) -> None:
    """Signatures and opaque blocks never move between models; calls and results do, as text."""
    call = ToolCall("x1", "bash", {"command": "make"})
    foreign = Reply("I look", (call,), "tools", "", None, [{"type": "opaque", "signature": "s3cr"}], "other/model")
    history = [*GO, Entry(reply=foreign), Entry(results=(ToolResult(call, "it failed"),)), Entry(user="go on")]
    vendor_server.answer(face.says("ok"))
    face.open(vendor_server.url).ask("sys", history, TOOLS, max_tokens=9, place=PLACE)
    sent = json.dumps(vendor_server.journal[0].body)
    assert all(text in sent for text in ("I look", "make", "it failed", "go on"))
    assert "s3cr" not in sent and "x1" not in sent


@every_face
def test_a_call_that_was_never_answered_gets_an_answer(face: Face, vendor_server: FakeVendor) -> None:
    """Every vendor refuses a history in which a call has no result."""
    vendor_server.answer(wire.sse(face.calls(Call("bash", {"command": "ls"}, "a1"))), face.says("ok"))
    model = face.open(vendor_server.url)
    first = model.ask("sys", GO, TOOLS, max_tokens=9, place=PLACE)
    model.ask("sys", [*GO, Entry(reply=first), Entry(user="and?")], TOOLS, max_tokens=9, place=PLACE)
    assert "(not run)" in json.dumps(vendor_server.journal[1].body)


@every_face
def test_progress_is_told_for_each_piece_and_may_end_the_stream(face: Face, vendor_server: FakeVendor) -> None:
    """The idle time of a turn starts anew with each piece; what the callback raises passes through."""
    pieces: list[int] = []
    vendor_server.answer(face.says("hello you"), face.says("hello"))
    face.open(vendor_server.url, on_progress=lambda: pieces.append(1)).ask("s", GO, [], max_tokens=9, place=PLACE)
    assert len(pieces) >= 2

    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        face.open(vendor_server.url, on_progress=stop).ask("s", GO, [], max_tokens=9, place=PLACE)


@pytest.mark.parametrize("face", [f for f in FACES if f.vendor != "google"], ids=lambda face: face.vendor)
def test_arguments_that_are_no_json_object_are_kept_as_text(face: Face, vendor_server: FakeVendor) -> None:
    """The loop counts them as a mistake of the model; the next request is still one that a server accepts."""
    for raw in ('{"command": "l', '["ls"]', "ls"):
        vendor_server.answer(wire.sse(face.calls(Call("bash", raw, "a1"))), face.says("ok"))
        model = face.open(vendor_server.url)
        first = model.ask("sys", GO, TOOLS, max_tokens=9, place=PLACE)
        assert (first.stop, first.calls[0].args, first.calls[0].raw_args) == ("tools", None, raw)
        result = ToolResult(first.calls[0], "no JSON object", is_error=True)
        model.ask("sys", [*GO, Entry(reply=first), Entry(results=(result,))], TOOLS, max_tokens=9, place=PLACE)


@every_face
def test_what_a_model_may_write_is_sent(face: Face, vendor_server: FakeVendor) -> None:
    """A cap lowered by the budget must reach the vendor."""
    vendor_server.answer(face.says("ok"))
    face.open(vendor_server.url).ask("sys", GO, [], max_tokens=4321, place=PLACE)
    assert "4321" in json.dumps(vendor_server.journal[0].body)


@every_face
def test_an_answer_of_another_shape_is_a_server_error(face: Face, vendor_server: FakeVendor) -> None:
    """Whatever a foreign server leaves out, the loop gets a ModelError and no KeyError."""
    shapes: dict[str, wire.Json] = {
        "anthropic": {"type": "message_start", "message": {"id": "m"}},
        "google": {"candidates": [{"content": {"parts": "text"}, "finishReason": "STOP"}]},
        "openai": {
            "type": "response.completed",
            "response": {"status": "completed", "output": [{"type": "function_call"}]},
        },
        "openai-compatible": {"choices": [{"delta": {"tool_calls": ["x"]}, "finish_reason": "stop"}]},
    }
    more = {"type": "content_block_start", "index": 0, "content_block": {}, "candidates": [], "choices": []}
    error = failure(face, vendor_server, wire.sse([shapes[face.vendor], more]))
    assert error.kind == "server" and error.reached


@every_face
def test_characters_that_end_a_line_elsewhere_end_none_here(face: Face, vendor_server: FakeVendor) -> None:
    """Servers send U+2028 and U+0085 unescaped; an event stream knows CR and LF only, also cut in two."""
    said = "a\u2028b\x85c\u2029d\x1ce é 漢 😀"
    events = [json.dumps(event, ensure_ascii=False) if isinstance(event, dict) else event for event in face.text(said)]
    for end in ("\n", "\r\n", "\r"):
        body = "".join(f"data: {event}{end}{end}" for event in events).encode()
        vendor_server.answer(Answer(body))
        assert face.open(vendor_server.url).ask("sys", GO, [], max_tokens=9, place=PLACE).text == said


@every_face
def test_an_answer_without_an_end_is_left(face: Face, vendor_server: FakeVendor) -> None:
    """It fills no memory, is not asked for again, and may have been billed."""
    error = failure(face, vendor_server, Answer(b"data: " + b"x" * 300_000), largest_answer=100_000)
    assert (error.kind, error.status) == ("request", 200) and "100000 bytes" in str(error)


@every_face
def test_an_error_without_an_end_is_left(face: Face, vendor_server: FakeVendor) -> None:
    """An SDK would read it for ever, and into memory."""
    error = failure(face, vendor_server, Answer(b"x" * 1_200_000, status=500, hang=True))
    assert (error.kind, error.status) == ("server", 500) and str(error).endswith("xxx...")


@every_face
def test_a_key_that_a_server_says_back_is_in_no_reply(face: Face, vendor_server: FakeVendor) -> None:
    """Else it would be written to files and shown to commands; `wire` goes back as the loop saw it."""
    vendor_server.answer(wire.sse(face.calls(Call("bash", {"command": f"echo {KEY}", KEY: [KEY]}))), face.says(KEY))
    model = face.open(vendor_server.url)
    reply = model.ask("sys", GO, TOOLS, max_tokens=9, place=PLACE)
    assert reply.calls[0].args == {"command": "echo ***", "***": ["***"]}
    assert KEY not in repr(reply) and KEY not in repr(model)
    assert model.ask("sys", GO, TOOLS, max_tokens=9, place=PLACE).text == "***"


@every_face
@pytest.mark.parametrize("key", ["sk-with-newline-1\n", "sk-schlüssel-1234", "two words-1234"])
def test_a_key_that_no_header_can_hold_is_told_as_one(face: Face, vendor_server: FakeVendor, key: str) -> None:
    """`$(cat key)` and a paste from a web page bring such keys; whatever is said does not show it."""
    vendor_server.answer(wire.error(401, {"error": {"message": "bad key"}}))
    with pytest.raises(ModelError) as caught:
        open_model(ModelSpec(face.model, key=key, base_url=vendor_server.url + face.base)).ask(
            "sys", GO, [], max_tokens=9, place=PLACE
        )
    assert caught.value.kind == "auth" and key.strip() not in str(caught.value)


@every_face
def test_half_characters_are_joined_or_replaced(face: Face, vendor_server: FakeVendor) -> None:
    """Servers that count in UTF-16 cut an emoji in two; what stays half could be neither kept nor sent back."""
    for said, heard in (("x\ud83d\ude00y", "x😀y"), ("x\ud83dyz", "x\ufffdyz")):
        vendor_server.answer(face.says(said), face.says("ok"))
        model = face.open(vendor_server.url)
        reply = model.ask("sys", GO, TOOLS, max_tokens=9, place=PLACE)
        assert reply.text == heard
        model.ask("sys", [*GO, Entry(reply=reply)], TOOLS, max_tokens=9, place=PLACE)
        assert heard in json.dumps(vendor_server.journal[-1].body, ensure_ascii=False)


ODD = {
    "deep": '{"command": ' + "[" * 200 + "]" * 200 + "}",
    "very deep": '{"command": ' + "[" * 100_000 + "]" * 100_000 + "}",
    "no number": '{"command": NaN}',
    "infinite": '{"command": 1e999}',
    "large": '{"command": 1' + "0" * 30 + "}",
    "huge": '{"command": 1' + "0" * 9_000 + "}",
}


@every_face
@pytest.mark.parametrize("arguments", ODD.values(), ids=ODD)
def test_json_that_others_could_not_read_is_none(face: Face, vendor_server: FakeVendor, arguments: str) -> None:
    """Python reads it and chokes later, when it is kept, walked through or sent back. Gemini's is no event at all."""
    if face.vendor == "google":
        event = json.dumps(face.calls(Call("bash", {"a": "@"}))[0]).replace('{"a": "@"}', arguments)
        assert failure(face, vendor_server, wire.sse([event])).kind == "network"
        return
    vendor_server.answer(wire.sse(face.calls(Call("bash", arguments))), face.says("ok"))
    model = face.open(vendor_server.url)
    reply = model.ask("sys", GO, TOOLS, max_tokens=9, place=PLACE)
    assert (reply.stop, reply.calls[0].args) == ("tools", None)
    results = (ToolResult(reply.calls[0], "no JSON", is_error=True),)
    history = [*GO, Entry(reply=reply), Entry(results=results)]
    assert model.ask("sys", history, TOOLS, max_tokens=9, place=PLACE).text == "ok"


@every_face
def test_an_error_in_odd_json_is_an_error(face: Face, vendor_server: FakeVendor) -> None:
    """Deeper than a parser goes, half characters in the message, a list, nothing."""
    for body in ("[" * 100_000, '{"error": {"message": "no \\ud83d"}}', "[]", "null", "", '{"error": null}', '"no"'):
        answer = Answer(body.encode(), 400, "application/json")
        assert failure(face, vendor_server, answer).kind in ("request", "server")


@every_face
def test_an_answer_that_is_hardly_http_is_an_error(face: Face, vendor_server: FakeVendor) -> None:
    """Bytes of no charset, no gzip, nothing at all; and a redirect is not followed, so that no key goes elsewhere."""
    charset = Answer(b"\xff\xfe\xfd", 500, "text/plain; charset=foo")
    assert failure(face, vendor_server, charset).kind == "server"
    assert failure(face, vendor_server, Answer(b"hello", headers={"content-encoding": "gzip"})).kind == "network"
    assert failure(face, vendor_server, Answer(b"", content_type="application/json")).kind == "server"
    moved = failure(face, vendor_server, Answer(b"", 307, headers={"location": vendor_server.url + "/elsewhere"}))
    assert moved.kind == "request" and "write the new one into `base-url`" in str(moved)
    assert len(vendor_server.journal) == 4


@every_face
def test_an_address_is_understood_with_and_without_its_version(face: Face, vendor_server: FakeVendor) -> None:
    """People copy it from anywhere."""
    said = {
        "anthropic": {"": "/v1/messages", "/": "/v1/messages", "/v1": "/v1/messages", "/v1/": "/v1/messages"},
        "google": {"": "/v1beta/", "/": "/v1beta/", "/v1": "/v1/", "/v1beta/": "/v1beta/"},
        "openai": {"": "/v1/responses", "/": "/v1/responses", "/v1/": "/v1/responses", "/api/v4": "/api/v4/responses"},
        "openai-compatible": {
            "": "/v1/chat/completions",
            "/": "/v1/chat/completions",
            "/v1/": "/v1/chat/completions",
            "/api/v4": "/api/v4/chat/completions",
        },
    }
    for tail, path in said[face.vendor].items():
        vendor_server.answer(face.says("hello"))
        model = open_model(ModelSpec(face.model, key=KEY, base_url=vendor_server.url + tail))
        assert model.ask("sys", GO, [], max_tokens=9, place=PLACE).text == "hello"
        assert vendor_server.journal[-1].path.startswith(path), tail
