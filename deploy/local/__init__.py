"""The local runner: starts and stops Penstock on one machine without Docker.

`python -m deploy.local up|down`, behind `make up` and `make down`."""
