"""sslrun: why does this not collapse, and which part makes it work?"""

__version__ = "0.1.0"
