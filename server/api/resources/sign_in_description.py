"""How users of this server sign in, for programs that help them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from starlette.responses import Response

from shotdap.config import Settings
from shotdap.server.api.dependencies import ApiRequest, NoParams, reject_repeated_params
from shotdap.server.api.problem_details import describe_other_responses
from shotdap.server.api.responses import respond_with_document
from shotdap.server.api.schemas import SignInDescription


def create_sign_in_description_router(settings: Settings) -> APIRouter:
    """Create the route."""
    routes = APIRouter(tags=["service"], dependencies=[Depends(reject_repeated_params)])

    @routes.get(
        "/sign-in",
        response_model=SignInDescription,
        operation_id="sign_in",
        summary="How to sign in",
        responses=describe_other_responses(),
    )
    def get_sign_in(request: ApiRequest, _: Annotated[NoParams, Query()]) -> Response:
        """Return how users sign in: what `shotdap login` has to know."""
        oidc, mode = settings.oidc, settings.access.mode
        if mode != "oidc":
            return respond_with_document(request, SignInDescription(mode, "", "", [], "", ""))
        client, page = oidc.device_client_id or oidc.client_id, f"{oidc.public_url.rstrip('/')}/login"
        description = SignInDescription(mode, oidc.issuer, client, list(oidc.scopes), oidc.resource, page)
        return respond_with_document(request, description)

    return routes
