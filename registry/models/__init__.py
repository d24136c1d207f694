"""The use cases of models: editing and testing them, the default of each type, and the bindings of knowledge bases.

May import `registry.resolve`, `registry.proxy`, `registry.settings`, `registry.probe`, `registry.keys`,
`registry.audit`, `registry.store`, `registry.catalog`, `registry.actors`, `registry.errors`, `registry.records` and
`registry.secrecy`. It never calls the proxy.
"""
