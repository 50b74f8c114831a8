"""The development cluster's API server: kube-apiserver for what Postern, the operator half and kubectl use."""

from postern_devcluster.apiserver.server import ApiServer, ApiServerOptions, running_api_server

__all__ = ["ApiServer", "ApiServerOptions", "running_api_server"]
