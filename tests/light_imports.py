"""A pytest plugin, to be named before others: jsonschema does without its check of internationalized addresses.

The package that checks them builds 38 grammars when it is imported, which takes over a second of each process.
"""

import sys

sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]  # None is how Python forbids an import
