"""The client's decisions, without I/O: where a key lives, what a failed try means, when to try again, when to give up.

Generators yield what they want next (``steps.py``) and are sent the outcome; asyncio drives them (``faces/``), and so
can anything else that keeps time.
"""
