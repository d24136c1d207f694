"""Providers, known models, parameters, the validation of input, and the policy for outbound addresses.

May import `registry.errors`, `registry.records` and `registry.secrecy`.
"""
