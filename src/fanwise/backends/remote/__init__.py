"""What all clusters have in common: only how to reach their workers is particular to Dask or Ray.

From the outside in: `_crew` (workers lent to one run), `_liaison` (all talk of one run with the cluster, through the
port `Cluster`), `_letters` (what travels), `_agent` (the other end) and `_child` (the processes that run items).
"""
