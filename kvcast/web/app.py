"""The base of every function: one Flask app with the errors, limits, health and metrics that all share."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

from flask import Flask, Response, g, request
from flask_limiter.errors import RateLimitExceeded
from werkzeug.exceptions import HTTPException
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.routing import PathConverter

from kvcast.config import Settings
from kvcast.errors import KvcastError
from kvcast.logs import set_up
from kvcast.renewal import Renewal
from kvcast.tokens import Keyring, Scope, Token, require, require_reading
from kvcast.web.answers import Endpoint, Environ, error_answer, from_http_exception, unforeseen
from kvcast.web.cors import Cors
from kvcast.web.fastpath import FastPath, WsgiApp
from kvcast.web.gate import Gate, for_operators
from kvcast.web.health import Health
from kvcast.web.limiting import Limit, from_exceeded, install_limiter
from kvcast.web.observing import Observer


class AnyPath(PathConverter):
    """The original takes no line break, so that `/viewer/a%0Ab` was an unknown address and not a bad key."""

    regex = r"[^/][\s\S]*?"


class FunctionApp(Flask):
    """A function. `shared_limits` counts its calls over all workers, through Redis."""

    def __init__(self, name: str, settings: Settings, *, shared_limits: bool) -> None:
        super().__init__(f"kvcast.{name}", static_folder=None)
        self.url_map.converters["path"] = AnyPath
        set_up(
            name, settings.log_level, settings.log_format, settings.server_name, requests=bool(settings.access_log)
        )
        self.function_name = name
        self.settings = settings
        self.keyring = Keyring(settings.accepted_tokens(), settings.verifier())
        Renewal(self.keyring).start()
        self.health = Health()
        self.take: Callable[[Any, Any], Any] | None = None  # see functions/plain_connection.py
        self.observer = Observer(name)
        self.rate_limiter = install_limiter(self, redis_url=settings.redis_url if shared_limits else "")
        self.url_map.merge_slashes = False  # `//` in an address is an error of the client, not a redirect
        self._fast = FastPath(Gate(self.wsgi_app, self.health, settings.management_port), self.observer)
        self._inner: WsgiApp = Cors(self._fast, settings.allowed_origins) if settings.allowed_origins else self._fast
        self.wsgi_app = self.behind_proxies(self._inner)  # type: ignore[method-assign,assignment]
        self._install_errors()
        self._install_observing()
        for path, endpoint in for_operators(self.health).items():
            self.endpoint_route("GET", path, endpoint)

    @property
    def hot(self) -> tuple[bytes, ...]:
        """How the requests begin that the worker should not spend a general parser on."""
        return self._fast.beginnings()

    def behind_proxies(self, app: WsgiApp) -> WsgiApp:
        """`app`, whose callers are those in front of as many proxies as are trusted (KVCAST_TRUSTED_HOPS)."""
        hops = self.settings.trusted_hops
        return ProxyFix(app, x_for=hops, x_proto=hops, x_host=hops) if hops else app

    def put_in_front(self, make: Callable[[WsgiApp], WsgiApp]) -> None:
        """Have `make` of what answers until now answer, still behind the trusted proxies."""
        self._inner = make(self._inner)
        self.wsgi_app = self.behind_proxies(self._inner)  # type: ignore[method-assign,assignment]

    def limit(self, scope: str, rate: str) -> Limit:
        return Limit(self.rate_limiter, self.keyring, scope, rate)

    def endpoint_route(
        self, method: str, rule: str, endpoint: Endpoint, limit: Limit | None = None, *, fast: str | None = None
    ) -> None:
        """Serve `endpoint` at `rule`. fast: also in front of Flask, at this path or first segment."""

        def view(**_arguments: Any) -> Response:
            return endpoint(request.environ).to_response()

        name = f"{method} {rule}"
        view.__qualname__ = name  # Flask-Limiter adds up the limits of views whose names are the same
        self.add_url_rule(
            rule, name, limit.decorate(view) if limit else view, methods=[method], provide_automatic_options=False
        )
        if fast is not None and limit is not None:
            self._fast.add(method, fast, rule, endpoint, limit)

    def authorized(self, environ: Environ, scope: Scope, key: str | None = None) -> Token:
        """The caller's token. Raises Unauthorized or Forbidden."""
        return require(self.keyring.identify(environ.get("HTTP_AUTHORIZATION")), scope, key)

    def may_read(
        self, environ: Environ, keys: Iterable[str] = (), prefixes: Iterable[str] = (), categories: Iterable[str] = ()
    ) -> None:
        """Raises Unauthorized or Forbidden where reads need a token, and the caller's does not cover all of this."""
        if self.settings.read_auth == "token":
            token = self.keyring.identify(environ.get("HTTP_AUTHORIZATION"))
            require_reading(token, keys, prefixes, categories)

    def _install_errors(self) -> None:
        @self.errorhandler(KvcastError)
        def known(error: KvcastError) -> Response:
            return error_answer(error).to_response()

        @self.errorhandler(HTTPException)
        def refused(error: HTTPException) -> Response:
            if isinstance(error, RateLimitExceeded):
                return known(from_exceeded(self.rate_limiter, error))
            response = known(from_http_exception(error))
            for name, value in error.get_headers():
                if name == "Allow":
                    response.headers["Allow"] = value
            return response

        @self.errorhandler(Exception)
        def unknown(error: Exception) -> Response:
            return known(unforeseen(error))

    def _install_observing(self) -> None:
        @self.before_request
        def start() -> None:
            g.started = time.perf_counter()

        @self.after_request
        def note(response: Response) -> Response:
            route = request.url_rule.rule if request.url_rule else "(none)"
            seconds = time.perf_counter() - g.get("started", time.perf_counter())
            self.observer.done(request.environ, route, response.status_code, seconds)
            return response
