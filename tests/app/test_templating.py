"""The image's store of compiled templates: used where it fits, passed over where it doesn't, never written by the service."""

import sys
from pathlib import Path

import jinja2
import pytest
from flask import Flask, render_template

from app import templating


def page(folder: Path, store: Path) -> str:
    """What a fresh process would show for the only template in the folder."""
    app = Flask("app", template_folder=str(folder))
    templating.set_up_templates(app, store)
    with app.app_context():
        return render_template("page.html", name="<b>")


def test_the_command_compiles_every_template_and_the_service_then_compiles_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["app.templating", str(tmp_path)])
    templating.main()
    assert {file.name for file in tmp_path.iterdir()} == {"base.html", "error.html", "page.html"}

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a template was compiled that is in the store")

    monkeypatch.setattr(jinja2.Environment, "compile", refuse)
    app = Flask("app")
    templating.set_up_templates(app, tmp_path)
    for name in ("base.html", "error.html", "page.html"):
        app.jinja_env.get_template(name)


def test_a_template_that_has_changed_or_is_not_in_the_store_is_compiled_anew(tmp_path: Path) -> None:
    templates, store = tmp_path / "templates", tmp_path / "store"
    templates.mkdir()
    store.mkdir()
    (templates / "page.html").write_text("old {{ name }}")
    app = Flask("app", template_folder=str(templates))
    templating.set_up_templates(app, store, fill=True)
    app.jinja_env.get_template("page.html")
    assert page(templates, store) == "old &lt;b&gt;"
    (templates / "page.html").write_text("new {{ name }}")
    assert page(templates, store) == "new &lt;b&gt;"
    assert page(templates, tmp_path / "nowhere") == "new &lt;b&gt;"
    (store / "page.html").write_bytes(b"not bytecode")
    assert page(templates, store) == "new &lt;b&gt;"
    assert (store / "page.html").read_bytes() == b"not bytecode"
