"""What opens something: the vault of API keys and its keyring, their rotation, key files, and passes to sign in with.

May import `registry.audit`, `registry.store`, `registry.catalog`, `registry.actors`, `registry.errors`,
`registry.records` and `registry.secrecy`.
"""
