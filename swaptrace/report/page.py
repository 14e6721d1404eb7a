"""Pages that need nothing else: templates, and what all of them have in common."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined


def render(template: str, **values: object) -> str:
    """The page that a template of report/templates makes of these values.

    Whatever they hold is text: what was traced names devices and hosts, so that all is escaped, whatever a template is
    called.
    """
    environment = Environment(
        loader=PackageLoader("swaptrace.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(values)
