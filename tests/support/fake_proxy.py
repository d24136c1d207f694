"""A LiteLLM proxy for tests: the contract of the real one (LiteLLM 1.106.2) with its quirks, and faults on demand.

`integration/proxy/test_proxy_contract.py` holds it to the real one. It calls no provider: `FakeProxy.upstream` answers.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from copy import deepcopy
from dataclasses import dataclass
from hashlib import sha256
from itertools import count
from typing import Any
from uuid import uuid4

from tests.support.faulty_server import Answer, FaultyServer, Request

MASTER_KEY = "sk-master-1234"
COOLDOWN = 5
"""For how many seconds a deployment gets no calls after a 401 or 404, where cool-downs are on."""

PROVIDERS = {"openai", "azure", "gemini", "anthropic", "cohere", "cohere_chat", "ollama", "ollama_chat"} | {
    "deepseek",
    "dashscope",
    "mistral",
}
SHOWN_PARAMS = (
    "allow_client_keepalive_override",
    "use_in_pass_through",
    "use_litellm_proxy",
    "use_xai_oauth",
    "merge_reasoning_content_in_choices",
)
UPSTREAM_ERRORS = {
    400: ("BadRequestError", "invalid_request_error"),
    401: ("AuthenticationError", "authentication_error"),
    404: ("NotFoundError", "invalid_request_error"),
    429: ("RateLimitError", "throttling_error"),
    503: ("ServiceUnavailableError", "internal_server_error"),
}

Params = dict[str, Any]
Upstream = Callable[[Params, Params], tuple[int, Any]]


@dataclass
class Row:
    """A deployment in the proxy's database."""

    id: str
    model_name: str
    litellm_params: Params
    model_info: dict[str, Any]
    blocked: bool = False

    @property
    def is_ghost(self) -> bool:
        """LiteLLM knows no such provider: the row is kept, holds its id, and is neither listed nor served."""
        provider, slash, _ = self.litellm_params["model"].partition("/")
        return not slash or provider not in PROVIDERS

    def listed(self) -> dict[str, Any]:
        """As the listings show it: the key left out, all else in clear."""
        shown = {name: value for name, value in self.litellm_params.items() if name != "api_key"}
        fixed = {"id": self.id, "db_model": True, "member_auto_router": False, "blocked": self.blocked}
        return {
            "model_name": self.model_name,
            "litellm_params": dict.fromkeys(SHOWN_PARAMS, False) | shown,
            "model_info": {**self.model_info, **fixed, "pricing_overrides": [], "direct_access": True},
        }

    def saved(self) -> dict[str, Any]:
        """As a change answers it: text of the parameters encrypted."""
        hidden = {
            name: sha256(value.encode()).hexdigest() if isinstance(value, str) else value
            for name, value in self.litellm_params.items()
        }
        return {
            "model_id": self.id,
            "model_name": self.model_name,
            "litellm_params": hidden | dict.fromkeys(SHOWN_PARAMS, False),
            "model_info": {**self.model_info, "id": self.id, "db_model": False},
            "blocked": self.blocked,
        }


def obliging(params: Params, body: Params) -> tuple[int, Any]:
    """An upstream that takes any key and knows any model."""
    if "messages" in body:
        return 200, {"choices": [{"index": 0, "finish_reason": "stop", "message": _says("pong")}]}
    inputs = body["input"] if isinstance(body["input"], list) else [body["input"]]
    vector = [0.1] * (body.get("dimensions") or params.get("dimensions") or 4)
    return 200, {
        "data": [{"object": "embedding", "index": index, "embedding": vector} for index, _ in enumerate(inputs)]
    }


class FakeProxy(FaultyServer):
    """A LiteLLM proxy on a loopback port, as a context manager. Its rows outlive `stop` and `start`.

    Attributes:
        cooldowns: whether a deployment gets no calls for `COOLDOWN` seconds of ``now`` after a 401 or 404.
        now: the clock of the cool-downs: a test moves it.
        upstream: answers calls in place of the provider: ``(litellm_params, body) -> (status, body)``.
    """

    def __init__(self, master_key: str = MASTER_KEY, latency: float = 0.0, *, cooldowns: bool = False) -> None:
        super().__init__(latency)
        self.master_key = master_key
        self.cooldowns = cooldowns
        self.now = 0.0
        self.upstream: Upstream = obliging
        self._rows: dict[str, Row] = {}
        self._benched_until: dict[str, float] = {}
        self._turns: defaultdict[str, count[int]] = defaultdict(count)

    @property
    def writes(self) -> list[Request]:
        """The requests that change models, whether or not they succeeded."""
        return [request for request in self.requests if request.method != "GET" and request.path.startswith("/model/")]

    @property
    def reads(self) -> list[Request]:
        """The requests that list models."""
        return [request for request in self.requests if request.path.endswith("/model/info")]

    def served(self) -> dict[str, list[Params]]:
        """What would answer calls: per alias the parameters of its deployments, with their keys."""
        found: dict[str, list[Params]] = {}
        with self.lock:
            for row in self._rows.values():
                if not row.is_ghost and not row.blocked:
                    found.setdefault(row.model_name, []).append(dict(row.litellm_params))
        return found

    def add(self, id: str, alias: str) -> None:
        """Put in an entry that no registry made."""
        self._rows[id] = Row(id, alias, {"model": "openai/other"}, {})

    def copied(self) -> list[Row]:
        """All rows as they are now, ghosts too."""
        with self.lock:
            return deepcopy(list(self._rows.values()))

    def load(self, rows: Iterable[Row]) -> None:
        """Have copies of these rows, and no others."""
        with self.lock:
            self._rows = {row.id: deepcopy(row) for row in rows}

    def entry(self, id: str) -> Row | None:
        """The row with this id, ghosts too."""
        return self._rows.get(id)

    def answer(self, request: Request) -> Answer:
        """Carry a request out."""
        if request.path == "/health/liveliness":
            return Answer(200, "I'm alive!")
        if request.path == "/health/readiness":
            return Answer(200, {"status": "healthy", "db": "connected"})
        token = (request.authorization or "").removeprefix("Bearer ")
        if token != self.master_key:
            return _unauthorized(token)
        match request.method, request.path.strip("/").split("/"):
            case "GET", ["model", "info"]:
                return self._list(request.query)
            case "GET", ["v2", "model", "info"]:
                return self._page(request.query)
            case "POST", [*_, "chat", "completions"] | [*_, "embeddings"]:  # with /v1 and without
                return self._call(request.path.removeprefix("/v1"), request.body)
            case (("POST" | "PATCH"), ["model", *_]):
                with self.lock:
                    return self._change(request)
        return Answer(404, {"detail": "Not Found"})

    def _change(self, request: Request) -> Answer:
        match request.method, request.path.strip("/").split("/")[1:]:
            case "POST", ["new"]:
                return self._new(request.body)
            case "POST", ["delete"]:
                return self._delete(request.body)
            case "PATCH", [id, "update"]:
                return self._update(id, request.body)
        return Answer(404, {"detail": "Not Found"})

    def _new(self, body: Params) -> Answer:
        if "model_name" not in body or "litellm_params" not in body:
            return Answer(500, _error("Internal server error", "internal_server_error"), drops=True)
        if "model" not in body["litellm_params"]:
            return _missing("litellm_params", "model")
        info = dict(body.get("model_info") or {})
        row = Row(info.pop("id", None) or str(uuid4()), body["model_name"], dict(body["litellm_params"]), info)
        if row.id in self._rows:
            text = "{'error': 'Failed to add model to db. Check your server logs for more details.'}"
            return Answer(500, _error(text, "auth_error", 500))
        self._rows[row.id] = row
        if row.is_ghost:
            text = (
                f"Model create was saved to the database, but the model id(s) ['{row.id}'] are not live in this pod's"
            )
            return Answer(500, _error(f"{text} router after the reload", "internal_server_error", 500))
        return Answer(200, row.saved())

    def _update(self, id: str, body: Params) -> Answer:
        row = self._rows.get(id)
        if row is None:
            return Answer(404, _error(f"Model {id} not found on proxy.", "not_found_error", 404))
        given = {name: value for name, value in body.get("litellm_params", {}).items() if value is not None}
        row.litellm_params |= given
        row.model_info |= body.get("model_info", {})
        row.model_name = body.get("model_name", row.model_name)
        row.blocked = body.get("blocked", row.blocked)
        return Answer(200, row.saved())

    def _delete(self, body: Params) -> Answer:
        if "id" not in body:
            return _missing("id")
        if self._rows.pop(body["id"], None) is None:
            text = f"{{'error': 'Model with id={body['id']} not found in db'}}"
            return Answer(400, _error(text, "auth_error", 400))
        return Answer(200, {"message": f"Model: {body['id']} deleted successfully"})

    def _listed(self) -> list[Row]:
        with self.lock:
            return [row for row in self._rows.values() if not row.is_ghost]

    def _list(self, query: dict[str, str]) -> Answer:
        wanted = query.get("litellm_model_id")
        found = [row.listed() for row in self._listed() if wanted in (None, row.id)]
        if wanted and not found:
            return Answer(400, {"detail": {"error": f"Model id = {wanted} not found on litellm proxy"}})
        return Answer(200, {"data": found})

    def _page(self, query: dict[str, str]) -> Answer:
        alias, id = query.get("model"), query.get("modelId")
        found = [
            row.listed()
            for row in self._listed()
            if alias in (None, row.model_name)
            and id in (None, row.id)
            and query.get("search", "").lower() in row.model_name.lower()
        ]
        page, size = int(query.get("page", 1)), int(query.get("size", 50))
        counts = {"total_count": len(found), "current_page": page, "total_pages": -(-len(found) // size), "size": size}
        return Answer(200, {"data": found[(page - 1) * size : page * size], **counts})

    def _call(self, path: str, body: Params) -> Answer:
        alias = body.get("model")
        with self.lock:
            group = [row for row in self._listed() if row.model_name == alias]
            open_to_calls = [row for row in group if not row.blocked]
            rested = [row for row in open_to_calls if self._benched_until.get(row.id, self.now) <= self.now]
            row = rested[next(self._turns[str(alias)]) % len(rested)] if rested else None
        if not group:
            text = f"{path}: Invalid model name passed in model={alias}. Call `/v1/models` to view available models"
            return Answer(400, _error(f"{text} for your key.", "invalid_request_error", 400))
        if not open_to_calls:
            return Answer(403, _error("litellm.PermissionDeniedError: Model is blocked", "permission_error", 403))
        if row is None:
            return _all_benched(alias, [row.id for row in open_to_calls])
        status, answered = self.upstream(dict(row.litellm_params), body)
        if status == 200:
            return Answer(200, {"model": alias, "object": "list" if "input" in body else "chat.completion", **answered})
        if self.cooldowns and status in (401, 404):
            with self.lock:
                self._benched_until[row.id] = self.now + COOLDOWN
        return _failed_upstream(alias, status, answered)


def _says(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


def _error(message: str, type: str, code: int | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": type} | ({"param": None, "code": str(code)} if code else {})}


def _missing(*path: str) -> Answer:
    return Answer(422, {"detail": [{"type": "missing", "loc": ["body", *path], "msg": "Field required"}]})


def _unauthorized(token: str) -> Answer:
    if token.startswith("sk-"):
        text = "Authentication Error, Invalid proxy server token passed. Received API Key = sk-..., Key Hash (Token) ="
        return Answer(401, _error(text + sha256(token.encode()).hexdigest(), "token_not_found_in_db", 401))
    text = "LiteLLM Virtual Key expected. Received=****, expected to start with 'sk-'."
    return Answer(401, _error(text if token else "Authentication Error, No api key passed in.", "auth_error", 401))


def _all_benched(alias: str, ids: list[str]) -> Answer:
    text = (
        f"No deployments available for selected model, Try again in {COOLDOWN} seconds. All deployments for selected "
        f"model are in cooldown. Passed model={alias}. pre-call-checks=False, cooldown_list={ids}"
    )
    return Answer(429, _error(text, "all_deployments_in_cooldown", 429), {"Retry-After": str(COOLDOWN)})


def _failed_upstream(alias: str, status: int, answered: Any) -> Answer:
    name, type = UPSTREAM_ERRORS.get(status, ("InternalServerError", "internal_server_error"))
    text = (
        f"litellm.{name}: {name}: OpenAIException - {answered['error']['message']}\n\nLiteLLM: model group '{alias}' "
    )
    return Answer(status, _error(f"{text}failed with the error above. No fallback was attempted.", type, status))
