"""Files that are larger than memory, asked about batch by batch.

Promises: nothing half is ever where the result belongs, and what was done before a kill is not done again.
"""
