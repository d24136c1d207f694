"""What changes: models, the default of each type, the knowledge bases that use them, and tests of models.

May import `registry.proxy`, `registry.probe`, `registry.keys`, `registry.audit`, `registry.store`, `registry.catalog`,
`registry.actors`, `registry.errors`, `registry.records` and `registry.secrecy`. It never calls the proxy.
"""
