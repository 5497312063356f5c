"""The kernel: what a backend owes, and what every backend shares.

`contract` states the verbs and their promises; `commit` the data they exchange; `evaluate` decides, purely,
what becomes of a commit; `keys` and `limits` guard the edge; `codec` turns values into bytes; `writer`
gathers commits into batches; `feed` follows the logs; `work` is the unit of work that the domain writes in.
"""
