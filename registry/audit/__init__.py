"""The audit log: what was changed, by whom, and how to check that no entry was altered since.

May import `registry.store`, `registry.catalog`, `registry.actors`, `registry.errors`, `registry.records` and
`registry.secrecy`.
"""
