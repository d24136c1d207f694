"""The database: transactions, tables, reading rows, and what it takes to wait for them, on SQLite and PostgreSQL.

May import `registry.catalog`, `registry.actors`, `registry.errors`, `registry.records` and `registry.secrecy`.
"""
