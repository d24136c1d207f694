"""Streamlit's command line in a process whose catalogue has one provider more: ``twelfth_provider.py run app.py``."""

from __future__ import annotations

import sys
from pathlib import Path

from streamlit.web.cli import main

sys.path.insert(0, str(Path(__file__).parents[2]))

from registry.catalog.providers import PROVIDERS, Field, Need, Provider, Route
from registry.records import ModelType

PROVIDERS["acme"] = Provider(
    id="acme",
    label="Acme Cloud",
    routes={ModelType.EMBEDDING: Route("openai/"), ModelType.GENERATION: Route("openai/")},
    api_key=Field(Need.REQUIRED, "Access token", "From the Acme console."),
    endpoint=Field(Need.OPTIONAL, "Endpoint"),
    default_endpoint="https://models.acme.example/v1",
    connection={"region": Field(Need.REQUIRED, "Region", "Where it runs.", "eu-1")},
    examples={ModelType.GENERATION: "acme-large"},
)

if __name__ == "__main__":
    main(prog_name="streamlit")
