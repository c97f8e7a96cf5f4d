# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The verb that writes a page about a stack."""

import numpy as np

from hs_rvae.exceptions import TooFewSites
from hs_rvae.files import check_place


class ReportingMixin:
    """A report on one page."""

    def report(
        self, path="report.html", *, title=None, command=None, n_shuffles=30, random_state=0
    ):
        """Write a self-contained page about the analysis, for any browser.

        It holds the figures, the result and what to be careful about in words, figures of merit,
        what :meth:`rvae_diagnostics` says, the settings and versions, a table of all sites, and
        lines that repeat the analysis. It needs no network and runs no script. The stack is not
        changed. A figure is left out, with the reason, where its columns have no finite value or
        the model is not at hand; the diagnostics, where there are fewer than 100 sites. If
        anything else fails, no page is written.

        Parameters
        ----------
        path : str or pathlib.Path
            File to write.
        title : str, optional
            By default that of the image.
        command : str, optional
            A command line to be given as the way to repeat it, beside lines of Python.
        n_shuffles : int
            Of :meth:`rvae_diagnostics`.
        random_state : int
            Seed of the diagnostics, and of the choice of sites whose reconstruction is judged.

        Returns
        -------
        pathlib.Path
            The file that was written.

        Raises
        ------
        ValueError
            If the stack has no site table or no angles, joins several images, or is a series of
            several frames; if an option of :meth:`rvae_diagnostics` is out of range.
        OSError
            If the file cannot be written.

        Examples
        --------
        >>> stack.report("report.html")  # doctest: +SKIP
        """
        from hs_rvae import report as _report

        sites = self._sites_to_plot()
        if "angle" not in sites:
            raise ValueError(
                "There is no column 'angle' to report on: stack.rvae() or stack.apply_rvae(path) "
                "writes it."
            )
        for name, what in (("image", "joins several images"), ("frame", "is a series")):
            if name in sites and len(np.unique(sites[name])) > 1:
                raise ValueError(
                    f"The stack {what}: report on each {name}, for example on "
                    f"select_sites(stack.sites[{name!r}] == {sites[name][0]})."
                )
        check_place(path)  # before minutes of work depend on it
        before = set(sites.columns)
        try:
            diagnostics = self.rvae_diagnostics(n_shuffles=n_shuffles, random_state=random_state)
        except TooFewSites as error:
            diagnostics = str(error)
        finally:
            sites.remove(*(name for name in sites.columns if name not in before))
        return _report.write_report(
            self,
            path,
            title=title,
            command=command,
            diagnostics=diagnostics,
            random_state=random_state,
        )
