"""Entry points besides importing the library: the command line, and the demo that fills a store.

May import everything else of the library.
"""
