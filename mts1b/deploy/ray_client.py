"""How every program of this project reaches Ray."""

from __future__ import annotations

import logging
from typing import Any

from mts1b.config import Settings, environment_value, export_environment
from mts1b.deploy.endpoints import Endpoints, endpoints
from mts1b.foundation.errors import StackError

NAMESPACE = "mts1b"

JOB_MARK = "RAY_JOB_CONFIG_JSON_ENV_VAR"
"""Ray sets this for the driver of a submitted job, together with RAY_ADDRESS."""


def ray_environment(found: Endpoints) -> dict[str, str]:
    """What Ray's libraries and its command line (`ray job submit`) need in their environment to reach this stack."""
    values = {"RAY_ADDRESS": found.ray_address, "RAY_USAGE_STATS_ENABLED": "0"}
    if found.dashboard_url:
        values["RAY_API_SERVER_ADDRESS"] = found.dashboard_url
    if found.ray_token_path:
        values |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": found.ray_token_path}
    return values


def inside_ray_job() -> bool:
    """Whether this process is the driver of a job that was submitted to Ray."""
    return environment_value(JOB_MARK) is not None


def connect_ray(settings: Settings, namespace: str = NAMESPACE, log_to_driver: bool = False) -> Any:
    """Connect this process to the stack's Ray, or to the one named by `ray.address`; return the `ray` module.

    Inside a submitted job it is the job's own cluster. Once connected, do nothing. StackError when the stack is not
    up or Ray does not answer.
    """
    address = None
    if not inside_ray_job():
        found = endpoints(settings)
        address = found.ray_address
        if not address:
            raise StackError("ray", str(settings.data_dir), "this stack runs without Ray", "run `mts up`")
        export_environment(ray_environment(found))
    import ray  # heavy, and reads the environment when it is imported

    if not ray.is_initialized():
        try:
            ray.init(address=address, namespace=namespace, log_to_driver=log_to_driver, logging_level=logging.ERROR)
        except (ConnectionError, RuntimeError, TimeoutError, ray.exceptions.RayError) as error:
            raise StackError("ray", address, str(error).splitlines()[0], "see `mts status`") from None
    return ray
