"""Secrets: the vault of API keys, its keyring and key rotation, key files, and sign-in passes.

May import `registry.audit`, `registry.store`, `registry.catalog`, `registry.actors`, `registry.errors`,
`registry.records` and `registry.secrecy`.
"""
