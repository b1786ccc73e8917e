"""The same call on the workers of a Dask cluster, here one of two processes on this machine; needs `fanwise[dask]`."""

from distributed import Client, LocalCluster

import fanwise


def cube(number: int) -> int:
    return number**3


if __name__ == "__main__":
    cluster = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0")
    with cluster, Client(cluster) as client:
        run = fanwise.run(cube, range(100), backend=client)
        print(run.values() == [cube(number) for number in range(100)])
        print(run.report.reason)
