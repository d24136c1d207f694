"""The sign-in: who sends a request, who is refused before any page runs, and the sign-in page.

Imports only modules of ``pages.ui`` that do not draw models; from the library, besides the imports of all pages,
the passes of the local sign-in.
"""
