"""The database, SQLite or PostgreSQL: transactions, tables, reading rows, locks and time limits.

May import `registry.catalog`, `registry.actors`, `registry.errors`, `registry.records` and `registry.secrecy`.
"""
