"""KB code's hot path: which model to use, and what it takes to call it.

May import `registry.proxy`, `registry.settings`, `registry.probe`, `registry.keys`, `registry.audit`, `registry.store`,
`registry.catalog`, `registry.actors`, `registry.errors`, `registry.records` and `registry.secrecy`.
"""
