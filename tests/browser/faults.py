"""What a page must never do, noted while a test runs: errors, dialogs, violations of the CSP."""

from __future__ import annotations

import re

from playwright.sync_api import BrowserContext, ConsoleMessage, Dialog, WebError

# Chromium reports most violations as console errors, but not those of a report-only or a muted element.
REPORT_VIOLATIONS = """
addEventListener("securitypolicyviolation", (event) =>
  console.error(`CSP: ${event.violatedDirective} blocked ${event.blockedURI} in ${event.sourceFile}`));
"""
# What the browser itself says of a server that is away.
SERVER_AWAY = (
    r"net::ERR_(?!BLOCKED)"  # there are many words for a connection that was cut or could not be made
    r"|WebSocket connection to|50[234] "
)


class Faults:
    """Watches every page of the contexts given to `watch`. `expect(pattern)` forgives the errors that match."""

    def __init__(self) -> None:
        self._seen: list[str] = []
        self._expected: list[re.Pattern[str]] = []

    def watch(self, context: BrowserContext) -> None:
        context.add_init_script(REPORT_VIOLATIONS)
        context.on("console", self._console)
        context.on("weberror", self._error)
        context.on("dialog", self._dialog)

    def expect(self, pattern: str) -> None:
        self._expected.append(re.compile(pattern))

    def expect_server_away(self) -> None:
        self.expect(SERVER_AWAY)

    def seen(self) -> list[str]:
        return [fault for fault in self._seen if not any(pattern.search(fault) for pattern in self._expected)]

    def check(self) -> None:
        assert not self.seen(), "\n".join(self.seen())

    def _console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self._seen.append(f"console: {message.text} ({message.location['url']}:{message.location['lineNumber']})")

    def _error(self, error: WebError) -> None:
        self._seen.append(f"error: {error.error.stack or error.error}")

    def _dialog(self, dialog: Dialog) -> None:
        self._seen.append(f"dialog: {dialog.type}: {dialog.message}")
        dialog.dismiss()
