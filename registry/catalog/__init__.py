"""What may be registered, and where it may be called: providers, parameters, checks of what comes in, addresses.

May import `registry.errors`, `registry.records` and `registry.secrecy`.
"""
