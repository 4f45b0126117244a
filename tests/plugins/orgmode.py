"""A report format of one's own: the means as a table for Emacs' org-mode."""

from sslrun.extend import Document, report_format


@report_format("org", ".org")
def as_org(document: Document) -> str:
    means = document.summary
    lines = ["| " + " | ".join(map(str, row)) + " |" for row in means.itertuples(index=False)]
    return "\n".join(["| " + " | ".join(means.columns) + " |", "|-", *lines]) + "\n"
