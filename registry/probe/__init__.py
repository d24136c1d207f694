"""The connection test: one call of a model in a separate process, and the report on its outcome.

May import `registry.keys`, `registry.audit`, `registry.store`, `registry.catalog`, `registry.actors`,
`registry.errors`, `registry.records` and `registry.secrecy`. Only `litellm_call` imports LiteLLM.
"""
