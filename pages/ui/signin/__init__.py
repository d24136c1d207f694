"""Signing in: who sends a request, who is refused before any page runs, and what signed-out people see.

Imports the modules of ``pages.ui`` that draw nothing of models; of the library, besides what all pages import, the
settings and the passes of the local sign-in.
"""
