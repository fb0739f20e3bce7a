"""What an API server's refusal means: mostly that the product's CRDs are of an older release than the resource.

The messages are those of k8s.io/apimachinery (`field.NotSupported`), of strict field validation, and of server-side
apply (structured-merge-diff), which finds unknown fields first. The releases are found by asking each one's rules about
the same resource.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from pwasm_compiler.kube.kind import Document
from pwasm_compiler.kube.kubectl import ClusterError
from pwasm_compiler.kube.releases import accepting
from pwasm_compiler.kube.resources import kind_of

_UNSUPPORTED = re.compile(
    r'Unsupported value: "(?P<word>[^"]*)"|unknown field "(?P<field>[^"]*)"'
    r"|(?P<undeclared>\.spec\S*): field not declared"
)


@contextmanager
def explained(documents: Sequence[Document]) -> Iterator[None]:
    """Errors of the API server inside the block say which releases of the product take `documents`."""
    try:
        yield
    except ClusterError as error:
        hint = _hint(error.why, documents)
        if hint:
            raise ClusterError(error.what, why=error.why, hint=hint) from error
        raise


def _hint(said: str, documents: Sequence[Document]) -> str:
    refused = _UNSUPPORTED.search(said)
    word = next(filter(None, refused.groups()), "").rpartition(".")[2] if refused is not None else ""
    if not word:
        return ""
    for document in documents:
        kind = kind_of(document)
        taken, refusals = accepting(kind, document)
        older = [release for release, found in refusals.items() if any(word in line for line in found)]
        if older and taken:
            return (
                f"the cluster has an older {kind.product} than {taken[0]}, the first with {word}: upgrade it, or write"
                f" for its release: pwasm manifest --for {kind.line}={older[0]} (or older); see: pwasm doctor --cluster"
            )
    return ""
