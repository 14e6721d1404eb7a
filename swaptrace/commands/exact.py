"""--bytes, of the commands that print sizes."""

from __future__ import annotations

import click

#: What it is called with is `exact`; swaptrace.units.exact_bytes() does it.
bytes_option = click.option("--bytes", "exact", is_flag=True, help="Write sizes as bytes, not as KiB, MiB, GiB.")
