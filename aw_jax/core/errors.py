"""The one exception that is the user's to fix.

A launcher prints its message as one line and leaves with exit code 2. The message names
the field or file at fault, what was expected, what was found, and the remedy.
"""


class UserError(Exception):
    """Bad input, told in one clear line."""
