"""Names, addresses, e-mails, phone and account numbers stay on this machine: replaced before a text is sent, restored in answers.

Promises: nothing is sent anywhere to find them; a masked text restores exactly. Patterns are found, not people: `kinds` says what
is seen, and what is not.
"""
