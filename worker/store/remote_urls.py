"""Which API each remote is: what is known of its targets and quotas was learned there, and holds nowhere else."""

from collections.abc import Mapping, Sequence

from sqlalchemy import select
from sqlmodel import Session

from worker.configuration.remotes import Remote
from worker.core.base_url import leads_to_same_api
from worker.store.bulk import insert_missing
from worker.store.engine import Database, database_now
from worker.store.models import RemoteRow
from worker.store.tables import remotes as known


class RemoteMoved(Exception):  # noqa: N818 - the house names what happened
    """The settings lead elsewhere than to where what is known of a remote came from. Its one line has the remedy."""

    def __init__(self, remote: Remote, was: str) -> None:
        self.found = f"what is known of it is from {was}, and the settings say {remote.api_url}"
        self.remedy = (
            "set another COACHSYNC_HOME (or COACHSYNC_DATABASE_URL), or have all that forgotten: "
            f"`coachsync remotes forget {remote.name}`"
        )
        super().__init__(f"the remote {remote.name}: {self.found}; {self.remedy}")


def pin(database: Database, remotes: Sequence[Remote]) -> None:
    """Keep where each remote is, from its first use on. Raises ``RemoteMoved`` for one that is elsewhere by now."""
    with database.read() as session:
        if not check(session, remotes):
            return
    with database.write() as session:
        now = database_now(session)
        rows = [{"name": one.name, "api_url": one.api_url, "first_used_at": now} for one in remotes]
        insert_missing(session, known, rows)
        check(session, remotes)


def check(session: Session, remotes: Sequence[Remote]) -> list[Remote]:
    """Those that have not been used yet. Raises ``RemoteMoved`` for the first that is elsewhere by now."""
    urls = urls_known(session)
    for remote in remotes:
        if moved := moved_from(remote, urls):
            raise moved
    return [remote for remote in remotes if remote.name not in urls]


def moved_from(remote: Remote, urls: Mapping[str, str]) -> RemoteMoved | None:
    was = urls.get(remote.name, remote.api_url)
    return None if leads_to_same_api(was, remote.api_url) else RemoteMoved(remote, was)


def urls_known(session: Session) -> dict[str, str]:
    """By the remote's name."""
    return {row.name: row.api_url for row in session.execute(select(RemoteRow)).scalars()}
