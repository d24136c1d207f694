"""The LiteLLM proxy: keeping it in step with the registry, and its HTTP API.

May import `registry.probe`, `registry.keys`, `registry.audit`, `registry.store`, `registry.catalog`, `registry.actors`,
`registry.errors`, `registry.records` and `registry.secrecy`.
"""
