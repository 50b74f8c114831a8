"""What the HTTP servers of all services share: problem documents, the request context, service tokens."""

from postern_common.http.middleware import REQUEST_ID_HEADER, RequestContextMiddleware
from postern_common.http.problems import (
    PROBLEMS,
    error_response,
    install_problem_handlers,
    problem_response,
    register_problem,
)
from postern_common.http.service_tokens import bearer_token, issue_service_token, verify_service_token

__all__ = [
    "PROBLEMS",
    "REQUEST_ID_HEADER",
    "RequestContextMiddleware",
    "bearer_token",
    "error_response",
    "install_problem_handlers",
    "issue_service_token",
    "problem_response",
    "register_problem",
    "verify_service_token",
]
