"""The order in which things are looked at, and what becomes of the rest when the settings can't be read.

Promises: `examine` raises nothing that the user's settings, files or network could cause.
"""

from mistral_nb.doctor import machine, service
from mistral_nb.doctor.findings import Finding, Report
from mistral_nb.errors import MistralNotebookError
from mistral_nb.settings import Settings, current_settings


def examine() -> Report:
    """Return what was found on this machine and, with one free request, of the API."""
    here = [machine.python(), machine.packages(), machine.token_counts(), *machine.debug_output()]
    here += machine.unreadable_env_file()
    try:
        settings = current_settings()
    except MistralNotebookError as error:
        broken = Finding(
            name="settings",
            status="fail",
            found=f"{error.problem} Key, endpoint, cache and embedded model could not be checked.",
            fix=error.remedy,
        )
        return Report((*here, machine.widgets(), broken))
    return Report(
        (*here, *_of_service(settings), machine.files(settings), machine.widgets(), machine.embedded_model(settings))
    )


def _of_service(settings: Settings) -> list[Finding]:
    greeted = service.greet(settings)
    return [
        service.key(settings, greeted),
        service.endpoint(settings, greeted),
        service.clock(greeted),
        service.allowed_models(settings, greeted),
        service.limits(settings),
    ]
