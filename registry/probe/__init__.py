"""One call of a model: the connection test, in a process of its own, and what is said of how it went.

May import `registry.keys`, `registry.audit`, `registry.store`, `registry.catalog`, `registry.actors`,
`registry.errors`, `registry.records` and `registry.secrecy`. Only `litellm_call` imports LiteLLM.
"""
