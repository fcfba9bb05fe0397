"""What is told about one case to somebody whose test it has failed, and who knows nothing of us."""

from mitm.audit.explanation import explain
from mitm.audit.session.presented import Judgement


def message(judgement: Judgement) -> str:
    """Several lines that are complete in themselves."""
    finding = judgement.finding
    seen = finding.observation
    if judgement.word != "ok" and seen and seen.act == "unreached":
        said = f" It said: {finding.said}" if finding.said else ""
        return (
            f"{judgement.name}: your client did not connect to {judgement.endpoint.target}, so "
            f"that nothing is proved.{said}"
        )
    return f"presented on {judgement.endpoint.target}\n{explain(finding)}"
