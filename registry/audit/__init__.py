"""The audit log: what was changed, by whom, and how anybody can check that nothing was altered since.

May import `registry.store`, `registry.catalog`, `registry.actors`, `registry.errors`, `registry.records` and
`registry.secrecy`.
"""
