"""Providers on loopback for connection tests: they speak the wire formats that LiteLLM expects, or fail as asked."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from pydantic import SecretStr

from registry.catalog.egress import Policy
from registry.catalog.providers import PROVIDERS
from registry.catalog.validation import parse_create
from registry.probe import probe
from registry.records import ModelType
from tests.support.factories import BUILDERS, CANARY

KEY_HEADERS = ("authorization", "api-key", "x-api-key", "x-goog-api-key")
VECTOR = [0.6, 0.8]


@dataclass(frozen=True)
class Request:
    """A request as it came in."""

    path: str
    headers: Mapping[str, str]
    body: str

    @property
    def key(self) -> str:
        """The key that it brought, in whichever header."""
        found = [self.headers[name] for name in KEY_HEADERS if name in self.headers]
        return found[0].removeprefix("Bearer ") if found else ""


@dataclass(frozen=True)
class Answer:
    """What to send back."""

    status: int = 200
    body: str = "{}"
    headers: Mapping[str, str] = field(default_factory=dict)


class Provider:
    """A server on loopback; each request gets what ``answer`` makes of it.

    Attributes:
        text: what its models say.
        vector: what its embedding models return.
        answer: makes the answer of a request; by default that of a provider which works.
    """

    def __init__(self) -> None:
        self.text, self.vector = '{"persons": ["Ada"]}', VECTOR
        self.requests: list[Request] = []
        self.answer: Callable[[Request], Answer] = self.speak
        self.gone = threading.Event()
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self.port: int = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def close(self) -> None:
        self.gone.set()
        self._server.shutdown()
        self._server.server_close()

    def speak(self, request: Request) -> Answer:
        """The answer in the format of the path that is called."""
        for ending, make in _FORMATS.items():
            if request.path.partition("?")[0].endswith(ending):
                return Answer(body=json.dumps(make(self.text, self.vector)))
        return Answer(404, '{"error": {"message": "no such path"}}')

    def fail(self, status: int, body: str = '{"error": {"message": "It failed."}}', **headers: str) -> None:
        """Answer every request like this from now on."""
        self.answer = lambda _: Answer(status, body, headers)

    def echo(self, status: int = 401) -> None:
        """Repeat the key in every answer, as some providers do."""
        self.answer = lambda request: Answer(status, json.dumps({"error": {"message": f"bad key {request.key}."}}))


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A caller who gives up is what some tests are about."""


def _handler(provider: Provider) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0)).decode()
            request = Request(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
            provider.requests.append(request)
            answer = provider.answer(request)
            raw = answer.body.encode()
            self.send_response(answer.status)
            for name, value in {"content-type": "application/json", "content-length": str(len(raw))}.items():
                self.send_header(name, answer.headers.get(name.replace("-", "_"), value))
            for name, value in answer.headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            self.wfile.write(raw)

        do_GET = do_POST  # noqa: N815 -- the names that http.server calls

    return Handler


def _openai_chat(text: str, _: list[float]) -> Any:
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
    return {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": _USAGE}


def _openai_embedding(_: str, vector: list[float]) -> Any:
    return {"object": "list", "model": "m", "usage": _USAGE, "data": [{"index": 0, "embedding": vector}]}


def _ollama_chat(text: str, _: list[float]) -> Any:
    return {"model": "m", "message": {"role": "assistant", "content": text}, "done": True, "eval_count": 1}


def _anthropic(text: str, _: list[float]) -> Any:
    usage = {"input_tokens": 1, "output_tokens": 1}
    content = [{"type": "text", "text": text}]
    whole = {"id": "1", "type": "message", "role": "assistant", "model": "m", "content": content, "usage": usage}
    return {**whole, "stop_reason": "end_turn"}


def _gemini(text: str, _: list[float]) -> Any:
    candidate = {"content": {"role": "model", "parts": [{"text": text}]}, "finishReason": "STOP", "index": 0}
    usage = {"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2}
    return {"candidates": [candidate], "usageMetadata": usage}


def _cohere_chat(text: str, _: list[float]) -> Any:
    message = {"role": "assistant", "content": [{"type": "text", "text": text}]}
    usage = {"tokens": {"input_tokens": 1, "output_tokens": 1}}
    return {"id": "1", "finish_reason": "COMPLETE", "message": message, "usage": usage}


def _cohere_embedding(_: str, vector: list[float]) -> Any:
    billed = {"meta": {"billed_units": {"input_tokens": 1}}}
    return {"id": "1", "response_type": "embeddings_by_type", "embeddings": {"float": [vector]}, **billed}


_USAGE = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
_FORMATS: dict[str, Callable[[str, list[float]], Any]] = {
    "/chat/completions": _openai_chat,
    "/embeddings": _openai_embedding,
    "/api/chat": _ollama_chat,
    "/api/embed": lambda _, vector: {"model": "m", "embeddings": [vector], "prompt_eval_count": 1},
    "/api/show": lambda *_: {"model_info": {}},
    "/v1/messages": _anthropic,
    ":generateContent": _gemini,
    ":batchEmbedContents": lambda _, vector: {"embeddings": [{"values": vector}]},
    "/v2/chat": _cohere_chat,
    "/v2/embed": _cohere_embedding,
}


class Listener:
    """A bare socket on loopback that keeps every byte that reaches it, and answers nothing."""

    def __init__(self) -> None:
        self.received, self.connections = b"", 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(1)
                self.connections += 1
                self.received += connection.recv(65536)

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()


class Proxy:
    """The LiteLLM proxy as a test sees it: registers by ``register``, and is called at ``url``."""

    def __init__(self, url: str, key: str, register: Callable[[Mapping[str, Any], str], Any] | None = None) -> None:
        self.url, self.key = url, SecretStr(key)
        self.served: list[Mapping[str, Any]] = []
        self._register = register

    def alias(self, model_id: str) -> str:
        return f"db-{model_id}"

    @contextmanager
    def temporary(self, params: Mapping[str, Any], mode: str) -> Iterator[str]:
        self.served.append({"mode": mode, **params})
        if self._register is None:
            yield "db-test-1"
            return
        with self._register(params, mode) as alias:
            yield alias


COMBINATIONS = [(entry.id, kind) for entry in PROVIDERS.values() for kind in entry.types if kind is not ModelType.NER]
every_combination = pytest.mark.parametrize(
    ("provider", "kind"), COMBINATIONS, ids=[f"{provider} {kind}" for provider, kind in COMBINATIONS]
)
"""Every provider with each of its types; NER models are called as generation models are."""


def loaded() -> None:
    """Wait until the process for connection tests has loaded LiteLLM, which takes seconds."""
    with closing(Provider()) as provider:
        probe.run(parse_create(model_at(provider.url)), None, None, Policy())


def model_at(
    url: str, provider: str = "openai", kind: str = "generation", config: dict[str, Any] | None = None, **overrides: Any
) -> dict[str, Any]:
    """Input of a model of any provider and type, called at this address, with the canary key."""
    endpoint = url + {"openai": "/v1", "mistral": "/v1", "openai_compatible": "/v1"}.get(provider, "")
    connection = {"deployment": "made-up"} if provider == "azure" else {}
    whole = {"provider": provider, "api_endpoint": endpoint, "api_key": CANARY, "connection": connection, **overrides}
    size = {"dimensions": len(VECTOR)} if kind == "embedding" else {}
    return BUILDERS[kind](config={**size, **(config or {})}, **whole)
