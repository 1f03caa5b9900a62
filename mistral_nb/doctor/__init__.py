"""``mistral-nb doctor`` and ``%mistral doctor``: is everything here that is needed, and what to do where it is not.

Keeps to itself: what is looked at, of this machine (`machine`) and of the API (`service`).
Promises: nothing is changed, nothing is paid for, and no text of the user is sent; a check that fails does not keep the others
from being made; what can't be checked is said.
"""
