"""Programs that run inside a toolchain's environment, one process for each call.

They see neither torch nor the rest of SpikeFormer: `python -m workers.NAME` runs in a private
folder that holds `job.npz` and `job.json`, and leaves `result.npz` and `result.json` there. Lava's
run on Python 3.10.
"""
