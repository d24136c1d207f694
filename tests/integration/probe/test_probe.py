"""The connection test: one real call, over loopback, of every provider; and no key anywhere but where it belongs."""

from __future__ import annotations

import dataclasses
import datetime as dt
import gzip
import ipaddress
import json
import logging
import re
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib.metadata import distribution
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from registry import errors
from registry.catalog.egress import Policy
from registry.catalog.providers import PROVIDERS
from registry.catalog.validation import parse_create
from registry.probe import litellm_call, probe, process, transport
from registry.probe.diagnosis import MESSAGES
from registry.probe.process import Warm
from registry.records import Kind, ModelType, Stage, TestResult
from tests.support.factories import CANARY
from tests.support.providers import COMBINATIONS, Answer, Listener, Provider, Request, every_combination, model_at

HEX_KEY = "0123456789abcdef" * 2


def call(spec: dict[str, Any], carrier: probe.Carrier | None = None, policy: Policy | None = None) -> TestResult:
    """The test of an unsaved model, past the registry. A cool-down is not waited out."""
    return probe.run(parse_create(spec), None, carrier, policy or Policy(), wait=lambda _: None)


COMPLETION = """
import sys
import litellm
model, address, key = sys.argv[1:]
messages = [{"role": "user", "content": "x"}]
try:
    litellm.completion(
        model=model, api_base=address or None, api_key=key, messages=messages, max_retries=0, timeout=2
    )
except Exception:
    pass
"""


def without_guard(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Take a guard away, for a positive control."""
    monkeypatch.setattr(probe, "_MAKE", f"tests.support.unguarded_calls:{name}")


@pytest.fixture
def with_environment() -> Iterator[Callable[[Mapping[str, str]], None]]:
    """Lets calls see what their process's clean environment keeps from them."""
    usual, made = probe._warm, []

    def see(variables: Mapping[str, str]) -> None:
        probe._warm = Warm("registry.probe.litellm_call:load", {**probe.VARIABLES, **variables})
        made.append(probe._warm)

    yield see
    probe._warm = usual
    for warm in made:
        warm.close()


def completed(model: str, address: str = "") -> None:
    """Call LiteLLM as any program does."""
    command = [sys.executable, "-W", "ignore", "-c", COMPLETION, model, address, HEX_KEY]
    subprocess.run(command, cwd=Path(__file__).parents[3], capture_output=True, check=True)


@every_combination
def test_every_provider_is_called_as_it_expects(server: Provider, provider: str, kind: ModelType) -> None:
    """One request, at its own address, with its key (LiteLLM sends none to Ollama's embeddings)."""
    result = call(model_at(server.url, provider, kind))
    assert (True, "ok", "capability") == (result.ok, result.kind, result.stage), result
    if kind is ModelType.EMBEDDING:
        assert {"dimensions": 2, "norm": 1.0} == dict(result.details)
    else:
        assert {"preview": server.text} == dict(result.details)
    (request,) = server.requests
    assert request.key == ("" if (provider, kind) == ("ollama", "embedding") else CANARY)


@every_combination
@pytest.mark.parametrize("status", [302, 307, 308])
def test_no_redirect_is_followed(
    server: Provider, canary: Listener, provider: str, kind: ModelType, status: int
) -> None:
    """Not one byte reaches the address that a provider redirects to."""
    server.fail(status, location=f"{canary.url}/v1")
    result = call(model_at(server.url, provider, kind))
    assert ("redirected", "endpoint", 1) == (result.kind, result.stage, len(server.requests))
    assert (0, b"") == (canary.connections, canary.received)


SWITCHES = {"USE_LITELLM_PROXY": "True"}
READ = re.compile(r"""(?:get_secret\w*|getenv|environ\.get)\(\s*["'](\w+)|environ\[["'](\w+)""")
OVERRIDES = [
    *("OPENAI_BASE_URL", "OPENAI_API_BASE", "AZURE_API_BASE", "AZURE_OPENAI_ENDPOINT", "ANTHROPIC_API_BASE"),
    *("ANTHROPIC_BASE_URL", "GEMINI_API_BASE", "GOOGLE_GEMINI_BASE_URL", "COHERE_API_BASE", "DEEPSEEK_API_BASE"),
    *("DASHSCOPE_API_BASE", "MISTRAL_API_BASE", "MISTRAL_AZURE_API_BASE", "OLLAMA_API_BASE", "OLLAMA_HOST"),
    *("LM_STUDIO_API_BASE", "LITELLM_PROXY_API_BASE", "LITELLM_API_BASE", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"),
    *("http_proxy", "https_proxy", "all_proxy"),
]


@pytest.mark.parametrize("is_seen", [False, True], ids=["not visible", "even if it were visible"])
def test_the_environment_leads_nowhere(
    server: Provider,
    canary: Listener,
    monkeypatch: pytest.MonkeyPatch,
    with_environment: Callable[[Mapping[str, str]], None],
    is_seen: bool,
) -> None:
    """No variable that LiteLLM, an SDK or an HTTP client reads sends anything to another address: it is not seen, and
    the transport would go nowhere else."""
    variables = dict.fromkeys(OVERRIDES, canary.url)
    for name, value in {**variables, **SWITCHES, "LITELLM_PROXY_API_KEY": HEX_KEY}.items():
        monkeypatch.setenv(name, value)
    with_environment(variables if is_seen else {})
    kinds = {(provider, kind): call(model_at(server.url, provider, kind)).kind for provider, kind in COMBINATIONS}
    assert ({"ok"}, len(COMBINATIONS)) == (set(kinds.values()), len(server.requests)), kinds
    assert (0, b"") == (canary.connections, canary.received)


def litellms_variables() -> set[str]:
    """The environment variables that the source of the installed LiteLLM names where it reads one."""
    root = Path(str(distribution("litellm").locate_file("litellm")))
    sources = (file.read_text(encoding="utf-8") for file in root.rglob("*.py"))
    return {name for source in sources for pair in READ.findall(source) for name in pair if name}


def test_no_variable_that_litellms_source_names_changes_a_test(
    server: Provider,
    canary: Listener,
    monkeypatch: pytest.MonkeyPatch,
    with_environment: Callable[[Mapping[str, str]], None],
) -> None:
    """Each is set, as a switch and as an address: calls go where they would go without them, as they would."""
    names = litellms_variables()
    assert {*SWITCHES, "OPENAI_BASE_URL", "SSL_VERIFY", "LITELLM_MODEL_COST_MAP_URL", "LITELLM_LOG"} <= names
    assert names & {*process._KEPT} <= {"SSL_CERT_FILE"}  # whose certificates are trusted is the host's to say
    with_environment({})
    assert {"ok"} == {call(model_at(server.url, provider, kind)).kind for provider, kind in COMBINATIONS}
    usual, server.requests = server.requests, []
    for value in ("True", canary.url):
        for name in names - {*process._KEPT}:
            monkeypatch.setenv(name, value)
        with_environment({})
        assert {"ok"} == {call(model_at(server.url, provider, kind)).kind for provider, kind in COMBINATIONS}
        assert usual == server.requests
        server.requests = []
    assert 0 == canary.connections


CREDENTIALS = {
    "AZURE_OPENAI_AD_TOKEN": HEX_KEY,
    "OPENAI_ORG_ID": f"org-{HEX_KEY}",
    "OPENAI_PROJECT_ID": f"proj-{HEX_KEY}",
    "OPENAI_CUSTOM_HEADERS": f"X-Secret: {HEX_KEY}",
    "OPENAI_API_KEY": f"sk-{HEX_KEY}",
    "AZURE_API_KEY": HEX_KEY,
}


@pytest.mark.parametrize("is_seen", [False, True], ids=["not visible", "even if it were visible"])
def test_nothing_of_the_environment_is_sent(
    server: Provider,
    monkeypatch: pytest.MonkeyPatch,
    with_environment: Callable[[Mapping[str, str]], None],
    is_seen: bool,
) -> None:
    """Tokens, projects and headers that SDKs look for stay here: the typed key is what is tried, and nothing else."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    with_environment(CREDENTIALS if is_seen else {})
    assert {"ok"} == {call(model_at(server.url, provider, kind)).kind for provider, kind in COMBINATIONS}
    assert HEX_KEY not in str(server.requests)
    assert {request.key for request in server.requests} <= {CANARY, ""}


def test_control_without_the_guard_a_project_of_the_environment_is_sent(
    server: Provider, monkeypatch: pytest.MonkeyPatch, with_environment: Callable[[Mapping[str, str]], None]
) -> None:
    """The control: where it is seen, and every header let through, the SDK sends what it found."""
    with_environment({"OPENAI_PROJECT_ID": f"proj-{HEX_KEY}"})
    without_guard(monkeypatch, "with_any_header")
    call(model_at(server.url))
    assert HEX_KEY in str(server.requests)


@pytest.mark.parametrize("encoding", ["gzip", "gzip, gzip", "deflate", "br"])
def test_a_compressed_answer_is_not_unpacked(server: Provider, encoding: str) -> None:
    """It was not asked for, and a little of it can become very much."""
    packed = gzip.compress(b" " * 1000).decode("latin-1")
    server.answer = lambda _: Answer(200, packed, {"content_encoding": encoding})
    assert "bad_answer" == call(model_at(server.url)).kind


@pytest.mark.parametrize(
    ("variable", "model"), [("OPENAI_BASE_URL", "openai/m"), ("ANTHROPIC_API_BASE", "anthropic/m")]
)
def test_control_a_variable_leads_litellm_elsewhere(
    canary: Listener, variable: str, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: the same variable takes effect on a call that names no address."""
    monkeypatch.setenv(variable, canary.url)
    completed(model)
    assert canary.connections > 0


def test_control_litellms_switch_takes_calls_out_of_the_guard(
    server: Provider, canary: Listener, with_environment: Callable[[Mapping[str, str]], None]
) -> None:
    """The control: were it seen, LiteLLM would call Anthropic as a LiteLLM proxy, with a client of its own, which an
    HTTP proxy of the environment would hear; and what comes from there would not count."""
    with_environment({**SWITCHES, "LITELLM_PROXY_API_KEY": HEX_KEY, "HTTP_PROXY": canary.url})
    result = call(model_at(server.url, "anthropic", config={"timeout_seconds": 1}))
    assert (False, 0) == (result.ok, len(server.requests))
    assert canary.connections > 0


@pytest.mark.parametrize("kind", ModelType)
def test_an_answer_that_was_not_sent_for_says_nothing(kind: ModelType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where LiteLLM has an answer without a request, as from a cache or another client, the test is not passed."""
    text = SimpleNamespace(message=SimpleNamespace(content="ready"))
    answer = SimpleNamespace(data=[{"embedding": [1.0, 0.0]}], choices=[text])
    monkeypatch.setattr(litellm_call, "_asked", lambda *_: answer)
    assert "not_sent" == made_here(model_at("http://models.example", kind=kind))[-1]["kind"]


def made_here(spec: dict[str, Any], policy: Policy | None = None) -> list[Any]:
    """What a call of an unsaved model says that is made in this process, with what a test puts in LiteLLM's place."""
    parsed, said = parse_create(spec), list[Any]()
    params = PROVIDERS[parsed.provider].litellm_params(
        parsed.type, parsed.model_id, parsed.api_endpoint, {}, parsed.api_key
    )
    asked = probe._call(parsed, params, (parsed.api_key,), policy or Policy())
    litellm_call.make(dataclasses.asdict(asked), said.append)
    return said


def test_what_is_meant_for_another_origin_is_not_sent(canary: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever LiteLLM may come to do: only the endpoint's own scheme, host and port are called."""
    for url in (canary.url, canary.url.replace("127.0.0.1", "localhost"), "https://models.example"):
        monkeypatch.setattr(
            litellm_call, "_asked", lambda call, client, url=url: client.post(url, json=dict(call.params))
        )
        said = made_here(model_at("http://models.example"))
        assert ("elsewhere", "elsewhere", 0) == (said[0], said[-1]["kind"], canary.connections)


@pytest.mark.parametrize("provider", ["openai", "anthropic", "cohere", "gemini", "azure"])
def test_control_without_the_transport_a_redirect_is_followed(
    server: Provider, canary: Listener, provider: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: over an ordinary HTTP client that follows redirects, the other address hears of the call."""
    server.fail(307, location=f"{canary.url}/v1")
    without_guard(monkeypatch, "by_an_ordinary_client")
    call(model_at(server.url, provider))
    assert canary.connections > 0


@every_combination
def test_nothing_is_tried_twice(server: Provider, provider: str, kind: ModelType) -> None:
    """A provider that fails is called once."""
    server.fail(503)
    assert "provider_down" == call(model_at(server.url, provider, kind)).kind
    assert 1 == len(server.requests)


OPENAI_404 = (
    '{"error": {"message": "This is not a chat model and thus not supported", "type": "invalid_request_error"}}'
)
FAILURES: dict[str, tuple[str, str, Answer]] = {
    "wrong key": ("wrong_key", "sign_in", Answer(401, '{"error": {"message": "no"}}')),
    "Gemini's wrong key": ("wrong_key", "sign_in", Answer(400, '{"error": {"details": "API_KEY_INVALID"}}')),
    "forbidden": ("forbidden", "sign_in", Answer(403)),
    "no model": ("no_model", "model", Answer(404, '{"error": "model not found"}')),
    "Mistral's no model": (
        "no_model",
        "model",
        Answer(400, '{"message": "Invalid model: x"}'),
    ),
    "DeepSeek's no model": ("no_model", "model", Answer(400, '{"error": {"message": "Model Not Exist"}}')),
    "rate limited": ("rate_limited", "model", Answer(429)),
    "provider down": ("provider_down", "endpoint", Answer(500)),
    "gateway down": ("provider_down", "endpoint", Answer(502, "<html>Bad gateway</html>")),
    "web page": ("bad_answer", "endpoint", Answer(200, "<html>Welcome</html>", {"content_type": "text/html"})),
    "web page not found": ("bad_answer", "endpoint", Answer(404, "<!doctype html><p>404")),
    "not JSON": ("bad_answer", "endpoint", Answer(200, '{"choices": [oops')),
    "nothing": ("bad_answer", "endpoint", Answer(200, "")),
    "another API": ("bad_answer", "endpoint", Answer(200, '{"hello": "world"}')),
    "refused otherwise": ("refused", "model", Answer(400, '{"error": {"message": "Unsupported parameter"}}')),
    "no money": ("refused", "model", Answer(402, '{"error": {"message": "Insufficient Balance"}}')),
    "wrong type": ("wrong_type", "capability", Answer(404, OPENAI_404)),
    "Ollama's wrong type": ("wrong_type", "capability", Answer(400, '{"error": "\\"bge\\" does not support chat"}')),
}
SPEAKERS = ["openai", "azure", "anthropic", "gemini", "cohere", "ollama", "mistral"]


@pytest.mark.parametrize("failure", list(FAILURES))
@pytest.mark.parametrize("provider", SPEAKERS)
def test_each_failure_is_told_apart(server: Provider, provider: str, failure: str) -> None:
    """By its kind, its stage and a message of its own, whatever LiteLLM makes of it."""
    kind, stage, answer = FAILURES[failure]
    server.answer = lambda _: answer
    result = call(model_at(server.url, provider))
    if failure == "another API" and result.kind == "empty_reply":
        return  # some formats have no part that must be there
    assert (False, kind, stage) == (result.ok, result.kind, result.stage), result
    assert "{" not in result.message


@pytest.mark.parametrize("kind", ["generation", "embedding"])
@pytest.mark.parametrize("provider", ["openai", "ollama", "cohere"])
def test_an_endpoint_where_nobody_listens(provider: str, kind: str) -> None:
    """The message says so, for a closed port as for a name that does not exist."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    for host in ("127.0.0.1", "no-such-host.invalid"):
        result = call(model_at(f"http://{host}:{port}", provider, kind))
        assert ("unreachable", "endpoint") == (result.kind, result.stage)


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_an_untrusted_certificate(provider: str, tmp_path: Path) -> None:
    """The key is not sent over a connection that no one vouches for."""
    with tls_server(tmp_path) as (port, received):
        result = call(model_at(f"https://localhost:{port}", provider))
    assert ("tls", "endpoint", b"") == (result.kind, result.stage, b"".join(received))


@contextmanager
def tls_server(folder: Path) -> Iterator[tuple[int, list[bytes]]]:
    """A TLS server with a certificate of its own making, and what callers sent it once they trusted it."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    now = dt.datetime.now(dt.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + dt.timedelta(hours=1))
    names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    certificate = builder.add_extension(names, critical=False).sign(key, hashes.SHA256())
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "both.pem").write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "both.pem")
    received: list[bytes] = []

    def serve() -> None:
        try:
            connection, _ = listener.accept()
            with context.wrap_socket(connection, server_side=True) as stream:
                received.append(stream.recv(65536))
        except OSError:
            pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1], received
        thread.join(5)


@pytest.mark.parametrize("kind", list(ModelType))
def test_a_provider_that_trickles_is_given_up_in_time(
    server: Provider, kind: ModelType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit is for the whole call, however often a little of an answer comes."""
    monkeypatch.setattr(probe, "SECONDS", dict.fromkeys(ModelType, 0.3))
    server.answer = trickle(server)
    result = call(model_at(server.url, "ollama" if kind is ModelType.EMBEDDING else "openai", kind))
    assert ("timeout", "endpoint") == (result.kind, result.stage)
    assert "0.3 seconds" in result.message


def trickle(server: Provider) -> Callable[[Request], Answer]:
    """Hold every request until its caller or the test has gone."""

    def hold(_: Request) -> Answer:
        server.gone.wait(10)
        return Answer()

    return hold


def test_a_slow_stream_is_given_up_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """One byte after the other, none of which is late, does not keep a test alive."""
    monkeypatch.setattr(probe, "SECONDS", dict.fromkeys(ModelType, 0.3))
    over = threading.Event()

    def drip(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100000\r\n\r\n")
            while not over.wait(0.02):
                try:
                    connection.sendall(b" ")
                except OSError:
                    return

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=drip, args=(listener,), daemon=True)
        thread.start()
        result = call(model_at(f"http://127.0.0.1:{listener.getsockname()[1]}"))
        over.set()
        thread.join(5)
    assert "timeout" == result.kind


def test_an_endless_answer_is_cut_off(server: Provider) -> None:
    """No more is kept in memory than any model answers."""
    server.text = "word " * (transport.MOST_OF_AN_ANSWER // 5)
    assert "bad_answer" == call(model_at(server.url)).kind


def test_the_limit_is_the_models_own_where_that_is_shorter(monkeypatch: pytest.MonkeyPatch, server: Provider) -> None:
    """A generation model with a timeout of one second is given up after one."""
    server.answer = trickle(server)
    result = call(model_at(server.url, config={"timeout_seconds": 1}))
    assert ("timeout", True) == (result.kind, "1 seconds" in result.message)


def test_wrong_dimensions_tell_the_measured_ones(server: Provider) -> None:
    """So that one click can take them over."""
    result = call(model_at(server.url, "openai", "embedding", config={"dimensions": 1536}))
    assert ("wrong_dimensions", "capability") == (result.kind, result.stage)
    assert {"dimensions": 2, "norm": 1.0} == dict(result.details)
    assert "2 dimensions, but 1,536" in result.message


@pytest.mark.parametrize(("normalize", "noted"), [(True, True), (False, False)])
def test_a_vector_that_is_not_normalized_is_noted(server: Provider, normalize: bool, noted: bool) -> None:
    """No failure: the code that stores the vectors can do it."""
    server.vector = [3.0, 4.0]
    result = call(model_at(server.url, "openai", "embedding", config={"normalize": normalize}))
    assert (True, noted, 5.0) == (result.ok, "length 5" in result.message, result.details["norm"])


@pytest.mark.parametrize("vector", [[], [float("nan"), 1.0], [float("inf"), 1.0], [None, 1.0], ["x", 1.0]], ids=repr)
@pytest.mark.parametrize("provider", ["openai", "ollama", "gemini", "cohere"])
def test_a_broken_vector_is_a_bad_answer(server: Provider, provider: str, vector: Any) -> None:
    """Empty, or with what is no number."""
    server.vector = vector
    assert "bad_answer" == call(model_at(server.url, provider, "embedding")).kind


@pytest.mark.parametrize("provider", ["openai", "ollama", "anthropic", "gemini"])
def test_an_empty_reply_is_a_failure(server: Provider, provider: str) -> None:
    """A model that writes must write something."""
    server.text = " \n"
    result = call(model_at(server.url, provider))
    assert ("empty_reply", "capability") == (result.kind, result.stage)


JSON_REPLIES = {
    '{"persons": ["Ada"]}': True,
    "[]": True,
    '```json\n{"persons": []}\n```': True,
    '```\n{"persons": []}\n```\n': True,
    "Here you are: {}": False,
    "Ada Lovelace": False,
    '{"persons": [': False,
    "[" * 100_000: False,
}


@pytest.mark.parametrize("reply", list(JSON_REPLIES), ids=lambda reply: reply[:20])
def test_a_ner_model_with_json_answers_json(server: Provider, reply: str) -> None:
    """Also inside one Markdown fence; as text, anything goes."""
    server.text = reply
    kind = "ok" if JSON_REPLIES[reply] else "invalid_json"
    assert kind == call(model_at(server.url, kind="ner")).kind
    assert "ok" == call(model_at(server.url, kind="ner", config={"response_format": "text"})).kind
    asked = [json.loads(request.body).get("response_format") for request in server.requests]
    assert [{"type": "json_object"}, None] == asked


def test_a_long_reply_is_shown_in_part(server: Provider) -> None:
    """A hundred characters on one line."""
    server.text = "word\n" * 100
    assert 100 == len(call(model_at(server.url)).details["preview"])


def test_the_limits_of_the_model_are_kept(server: Provider) -> None:
    """Never more tokens than it may write."""
    call(model_at(server.url, config={"max_output_tokens": 7}))
    call(model_at(server.url))
    assert [7, 1024] == [json.loads(request.body)["max_tokens"] for request in server.requests]


def with_usage(key: str) -> str:
    """An answer as it should be, but with a key in the place of a number: pydantic warns of it, and quotes it."""
    message = {"role": "assistant", "content": "ready"}
    choices = [{"index": 0, "finish_reason": "stop", "message": message}]
    return json.dumps({"model": "m", "choices": choices, "message": message, "usage": {"prompt_tokens": key}})


@pytest.mark.parametrize("key", [CANARY, HEX_KEY, "short"], ids=["canary", "hex", "short"])
@pytest.mark.parametrize(
    "answer",
    [
        lambda request: Answer(401, json.dumps({"error": {"message": f"Bad key {request.key}!"}})),
        lambda request: Answer(401, f"<b>{request.key.upper()}</b>"),
        lambda request: Answer(500, json.dumps(dict(request.headers))),
        lambda request: Answer(404, json.dumps({"error": json.dumps({"message": request.key[:-2]})})),
        lambda request: Answer(200, json.dumps({"key": request.key})),
        lambda request: Answer(200, with_usage(request.key)),
        lambda request: Answer(302, request.key, {"location": f"http://127.0.0.1:1/{request.key}"}),
    ],
    ids=["401", "upper case", "headers", "nested", "200", "usage", "redirect"],
)
@pytest.mark.parametrize("provider", SPEAKERS)
def test_an_echoed_key_is_never_shown(
    server: Provider,
    provider: str,
    answer: Callable[[Request], Answer],
    key: str,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Neither in the result nor in any log or output, at whatever level; a short key makes the answer's text go."""
    caplog.set_level(logging.DEBUG)
    server.answer = answer
    result = call(model_at(server.url, provider, api_key=key))
    out, err = capfd.readouterr()
    assert server.requests[0].key == key
    assert key.lower() not in f"{result!r}{caplog.text}{out}{err}".lower()
    assert key != "short" or "answer" not in result.details


def test_control_without_scrubbing_an_echoed_key_is_shown(server: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: the same search finds the key when nothing is taken out."""
    without_guard(monkeypatch, "unscrubbed")
    server.echo()
    assert CANARY in repr(call(model_at(server.url)))


def test_a_key_in_a_reply_is_not_shown(server: Provider) -> None:
    """A model may repeat it, too."""
    server.answer = lambda request: server.speak(request)
    server.text = f"My key is {CANARY}"
    assert "My key is [hidden]" == call(model_at(server.url)).details["preview"]


def test_a_name_that_leads_to_a_refused_address_is_not_called(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a name leads to is checked when it is called, and one refused address is enough."""
    answers = {"models.example": ["203.0.113.9", "169.254.169.254"], "other.example": ["10.0.0.7"]}
    asked: list[str] = []

    def look_up(host: str, port: int, **_: Any) -> Any:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in answers[host]]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    monkeypatch.setattr(socket, "create_connection", lambda *_, **__: pytest.fail("connected"))
    monkeypatch.setattr(litellm_call, "_asked", lambda call, client: client.get(call.params["api_base"]))
    assert "unsafe" == made_here(model_at("http://models.example"))[-1]["kind"]
    assert "unsafe" == made_here(model_at("http://other.example"), Policy(deny=["10.0.0.0/8"]))[-1]["kind"]
    assert ["models.example", "other.example"] == asked


def test_control_without_a_policy_such_a_name_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: a transport that checks no address connects to wherever the name leads."""
    connected: list[tuple[str, int]] = []

    def connect(address: tuple[str, int], *_: Any, **__: Any) -> socket.socket:
        connected.append(address)
        raise ConnectionRefusedError

    found = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("169.254.169.254", 80))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [found])
    monkeypatch.setattr(socket, "create_connection", connect)
    unchecked = transport.OneOrigin("http://models.example:80", None, 1)
    with httpx.Client(transport=unchecked) as client, pytest.raises(httpx.ConnectError):
        client.get("http://models.example")
    assert [("169.254.169.254", 80)] == connected


def test_a_name_that_changes_between_look_ups_leads_nowhere_else(
    server: Provider, canary: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name is looked up once: what was checked is what is connected to."""
    turns = iter([["127.0.0.1"]])
    look_up = lambda host, port, **_: [(2, 1, 6, "", (address, port)) for address in next(turns)]  # noqa: E731 -- stands for a function
    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    connected: list[tuple[str, int]] = []
    create = socket.create_connection

    def connect(address: tuple[str, int], *args: Any, **kwargs: Any) -> socket.socket:
        connected.append(address)
        with monkeypatch.context() as undone:
            undone.undo()
            return create((ipaddress.ip_address(address[0]).compressed, address[1]), *args, **kwargs)

    monkeypatch.setattr(socket, "create_connection", connect)
    monkeypatch.setattr(litellm_call, "_asked", lambda call, client: client.get(call.params["api_base"]))
    made_here(model_at(f"http://models.example:{server.port}"))
    assert [("127.0.0.1", server.port)] == connected


def test_tests_side_by_side_do_not_mix() -> None:
    """Each calls its own provider with its own key, from as many threads as there are sessions."""
    servers = [Provider() for _ in range(6)]
    specs = [model_at(server.url, ["openai", "cohere", "ollama"][at % 3]) for at, server in enumerate(servers)]
    keyed = [{**spec, "api_key": f"sk-side-by-side-{at}"} for at, spec in enumerate(specs)]
    with ThreadPoolExecutor(6) as pool:
        results = list(pool.map(call, keyed * 3))
    for server in servers:
        server.close()
    assert {"ok"} == {result.kind for result in results}
    heard = [{request.key for request in server.requests} for server in servers]
    assert [{f"sk-side-by-side-{at}"} for at in range(6)] == heard


def test_without_litellm_a_test_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """KB code may have the library without the dashboard's packages."""
    monkeypatch.setitem(sys.modules, "litellm", None)
    with pytest.raises(errors.SettingsError, match="pip install"):
        call(model_at("http://127.0.0.1:1"))


def test_every_kind_has_its_own_message() -> None:
    """Distinguished by text as well as by code, each at a stage of the design."""
    messages = [message for _, message in MESSAGES.values()]
    assert len(messages) == len(set(messages))
    assert {stage for stage, _ in MESSAGES.values()} == set(Stage)
    assert set(MESSAGES) == set(Kind)
