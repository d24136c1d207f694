"""How others come in, besides by importing the library: the command line, and the demo that it fills a store with.

May import everything else of the library.
"""
