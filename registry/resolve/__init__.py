"""KB code's hot path: choosing the model to use, and the arguments to call it with.

May import `registry.proxy`, `registry.settings`, `registry.probe`, `registry.keys`, `registry.audit`, `registry.store`,
`registry.catalog`, `registry.actors`, `registry.errors`, `registry.records` and `registry.secrecy`.
"""
