"""`services.email` as an agent sees it."""

from sandbox.guest.services.asking import Service


class Email(Service):
    """E-mail, to those whom the manifest and the operator allow."""

    def send(self, to: str | list[str], subject: str, text: str, html: str | None = None) -> dict[str, str]:
        """Send one message to at most 20 addresses, all of them or none; its id comes back as {"message_id": ...}.

        "me" is the owner's own address; others are plain addresses, without names. Raises ServiceError when it was not
        sent or a limit is over, CapabilityDenied for who may not be written to, ValueError for what is no address.
        """
        args = {"to": to, "subject": subject, "text": text, "html": html}
        return dict(self._ask("email", "send", args))
