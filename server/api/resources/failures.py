"""The last failed requests of the user who asks, explained: their client may show only "Access failure"."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from shotdap.config import Settings
from shotdap.server.access.audit.failure_log import FailureLog, get_failure_owner
from shotdap.server.access.principal import get_principal
from shotdap.server.access.request_catalog import RequestCatalogs
from shotdap.server.api.dependencies import reject_repeated_params
from shotdap.server.api.problem_details import describe_other_responses
from shotdap.server.api.responses import respond_with_document
from shotdap.server.api.schemas import FailureDocument, Failures
from shotdap.server.http.request import HttpRequest
from shotdap.server.suggestion import explain_failures


class _FailureParams(BaseModel):
    model_config = ConfigDict(extra="forbid")

    limit: Annotated[int, Field(description="How many at most, the newest first.", ge=1, le=50)] = 10


def create_failures_router(catalogs: RequestCatalogs, settings: Settings) -> APIRouter:
    """Create the route."""
    routes = APIRouter(tags=["service"], dependencies=[Depends(reject_repeated_params)])
    log = FailureLog.from_settings(settings)

    @routes.get(
        "/failures",
        response_model=Failures,
        operation_id="failures",
        summary="Why your last requests failed",
        responses=describe_other_responses(),
    )
    def list_failures(request: Request, params: Annotated[_FailureParams, Query()]) -> Response:
        """List your own last requests that failed, with the reason and, where it is known, the URL that would work."""
        http_request = HttpRequest.from_starlette(request)
        principal = get_principal(http_request.state)
        owner = get_failure_owner(principal, request.client.host if request.client else "")
        failures = log.list_failures(owner, params.limit) if log is not None else ()
        explained = explain_failures(catalogs.open(http_request), failures, http_request.base_url)
        documents = [FailureDocument(**vars(each)) for each in explained]
        return respond_with_document(http_request, Failures(documents))

    return routes
