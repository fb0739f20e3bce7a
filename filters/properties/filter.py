"""properties: responds with 401 to requests without the header that their route's metadata names.

In Envoy's configuration of a route: `metadata: { filter_metadata: { envoy.filters.http.wasm: { auth: cookie } } }`.
"""

import pwasm
from pwasm import Action, HttpContext, properties

NAMESPACE = "envoy.filters.http.wasm"
GRPC_UNAUTHENTICATED = 16


class RouteAuth(HttpContext):
    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        wanted = properties.xds.route_metadata("filter_metadata", NAMESPACE, "auth")
        if wanted is None:
            pwasm.log_info("no auth header for route")
            return Action.CONTINUE
        name = wanted.decode()
        pwasm.log_info('auth header is "%s"', name)
        if name in self.request.headers:
            return Action.CONTINUE
        pwasm.send_http_response(401, grpc_status=GRPC_UNAUTHENTICATED)
        return Action.PAUSE


pwasm.set_http_context(RouteAuth)
