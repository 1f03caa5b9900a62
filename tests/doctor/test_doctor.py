"""mistral-nb doctor: each line, its fix, the exit code, and what is said when something can't be checked."""

import datetime
import json
import os
from collections.abc import Iterator
from email.utils import format_datetime
from pathlib import Path

import pytest

import mistral_nb
from mistral_nb.backends.embedded.weights import LOCAL_MODELS, weights_folder
from mistral_nb.cli import main
from mistral_nb.doctor import machine
from mistral_nb.doctor.examination import examine
from mistral_nb.doctor.findings import Finding, Report
from mistral_nb.settings import current_settings
from tests.fake_api import FakeApi, Fault
from tests.keyrings import LockedKeyring, in_use

KEY = "abcdefghijklmnopqrstuvwxyz012345"
ALL_LINES = {
    "Python",
    "packages",
    "token counts",
    "key",
    "endpoint",
    "clock",
    "models",
    "limits",
    "cache and ledger",
    "widgets",
    "embedded model",
}


def found(name: str) -> Finding:
    return next(finding for finding in examine().findings if finding.name == name)


@pytest.fixture
def weights() -> Path:
    """Pretend that local-small is here."""
    folder = weights_folder(current_settings().home)
    folder.mkdir(parents=True)
    (folder / LOCAL_MODELS["local-small"].file_name).touch()
    return folder


@pytest.fixture
def server(impatient: None) -> Iterator[FakeApi]:
    with FakeApi(api_key=KEY) as fake:
        mistral_nb.configure(endpoint=fake.url, api_key=KEY)
        yield fake


class TestAllIsWell:
    def test_nothing_fails(self, server: FakeApi) -> None:
        report = examine()

        assert [finding for finding in report.findings if finding.status == "fail"] == []
        assert {finding.name for finding in report.findings} == ALL_LINES

    def test_the_key_is_told_by_its_place_and_its_last_characters(self, server: FakeApi) -> None:
        line = found("key")

        assert (line.status, line.found) == ("ok", "…2345 from configure(api_key=…), accepted")

    def test_the_default_model_is_among_those_allowed(self, server: FakeApi) -> None:
        assert found("models").found == "10 that this key may use, mistral-small-latest among them"

    def test_only_the_list_of_models_is_asked_for(self, server: FakeApi) -> None:
        examine()

        assert [request.path for request in server.requests] == ["/v1/models"]

    def test_limits_are_those_that_this_kernel_has_seen(self, server: FakeApi) -> None:
        server.settings.limit_requests_per_minute = 50
        server.reset()
        before = found("limits").found
        mistral_nb.session().complete("Hello", max_tokens=5)

        assert "none seen yet" in before
        assert found("limits").found.startswith("50 requests")


class TestKeyAndEndpoint:
    def test_a_refused_key_fails_and_the_endpoint_does_not(self, server: FakeApi) -> None:
        mistral_nb.configure(api_key="x" * 32)

        assert (found("key").status, found("endpoint").status, found("models").status) == ("fail", "ok", "warn")

    def test_a_key_with_white_space_in_it_fails(self, server: FakeApi) -> None:
        mistral_nb.configure(api_key="two words of a key")

        assert "white space" in found("key").found

    def test_a_key_of_another_product_is_told(self, impatient: None) -> None:
        mistral_nb.configure(api_key="sk-ant-0123456789", endpoint="http://127.0.0.1:9")

        assert "key of Anthropic" in found("key").found

    def test_an_endpoint_that_is_not_reached_fails_with_its_fix(self, impatient: None) -> None:
        mistral_nb.configure(api_key=KEY, endpoint="http://127.0.0.1:9")
        line = found("endpoint")

        assert (line.status, bool(line.fix)) == ("fail", True)

    def test_what_needs_the_network_then_says_that_it_was_not_checked(self, impatient: None) -> None:
        mistral_nb.configure(api_key=KEY, endpoint="http://127.0.0.1:9")

        assert all("could not be checked" in found(name).found for name in ("key", "clock", "models"))

    def test_a_default_model_that_is_not_offered_fails_with_the_nearest(self, server: FakeApi) -> None:
        mistral_nb.configure(model="mistral-smal-latest")
        line = found("models")

        assert (line.status, line.fix) == ("fail", 'mistral_nb.configure(model="mistral-small-latest")')

    @pytest.mark.parametrize(("hours", "word"), [(2, "behind"), (-2, "ahead of")])
    def test_a_clock_that_is_off_is_told(self, server: FakeApi, hours: int, word: str) -> None:
        then = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=hours)
        server.play(Fault(headers={"Date": format_datetime(then, usegmt=True)}))
        line = found("clock")

        assert (line.status, word in line.found) == ("warn", True)

    def test_without_a_key_nothing_is_asked_and_that_is_no_failure(self, weights: Path) -> None:
        assert (found("key").status, found("endpoint").found.endswith("since there is no key")) == ("warn", True)
        assert examine().exit_code == 0


class TestMachine:
    def test_files_that_others_can_read_are_told(self, server: FakeApi) -> None:
        mistral_nb.cache_info()
        file = current_settings().home / "mistral_nb.sqlite"
        os.chmod(file, 0o644)
        line = found("cache and ledger")

        assert (line.status, line.fix) == ("warn", f"chmod 600 {file}")

    def test_a_file_that_is_no_cache_fails(self, server: FakeApi) -> None:
        home = current_settings().home
        home.mkdir()
        (home / "mistral_nb.sqlite").write_text("this is no database, whatever its name says" * 50)

        assert found("cache and ledger").status == "fail"

    def test_a_missing_embedded_model_fails_only_where_it_has_to_answer(self, server: FakeApi) -> None:
        with_key = found("embedded model").status
        mistral_nb.configure(model="local-small")

        assert with_key == "warn"
        assert (found("embedded model").status, found("embedded model").fix) == (
            "fail",
            "mistral-nb download-model local-small",
        )

    def test_a_missing_engine_is_told(self, weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(machine, "engine_is_installed", lambda: False)

        assert found("embedded model").fix == 'pip install "mistral_nb[local]"'

    def test_a_missing_package_is_told(self, server: FakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(machine, "_WIDGETS", ("ipywidgets", "no-such-package"))

        assert found("widgets").fix == "pip install no-such-package"

    def test_debug_output_of_the_sdk_is_told(self, weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MISTRAL_DEBUG", "1")

        assert found("debug output").fix == "unset MISTRAL_DEBUG"

    def test_an_env_file_that_cannot_be_read_is_told(
        self, tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        (tmp_path / ".env").write_bytes(b"\xff\xfe")

        assert found(".env").fix == "Save it as UTF-8 text."


def test_settings_that_cannot_be_read_are_one_failure_among_what_can_be_checked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    home = current_settings().home
    home.mkdir()
    (home / "key_is_in_keyring").touch()
    monkeypatch.delenv("MISTRAL_API_KEY")
    with in_use(LockedKeyring()):
        report = examine()

    assert (report.exit_code, report.findings[0].name) == (1, "Python")
    assert "could not be checked" in report.findings[-1].found


def test_the_command_ends_with_1_where_something_fails(
    impatient: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MISTRAL_NB_ENDPOINT", "http://127.0.0.1:9")
    code = main(["doctor"])

    assert (code, "fail  endpoint" in capsys.readouterr().out) == (1, True)


def test_scripts_get_json(server: FakeApi, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["doctor", "--json"])
    report = json.loads(capsys.readouterr().out)

    assert (code, report["status"]) == (0, "warn")
    assert report["findings"][0].keys() == {"name", "status", "found", "fix"}


def test_the_lines_of_a_finding_are_indented_together() -> None:
    report = Report((Finding(name="key", status="fail", found="two\nlines", fix="first\nsecond"),))

    assert str(report) == "fail  key  two\n           lines\n           → first\n             second"


def test_no_line_holds_the_key(server: FakeApi) -> None:
    server.play(Fault(status=401, body={"detail": f"Bad key {KEY}"}))
    report = examine()

    assert KEY not in str(report) + report.to_json()
