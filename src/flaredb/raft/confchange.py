"""From one configuration to the next, refusing everything that would break a rule.

Source: dissertation chapter 4. A simple change alters the voters by at most one (section 4.1), so that any two
majorities of the old and the new configuration share a member; everything larger goes through a joint configuration
(section 4.3).
"""

from __future__ import annotations

from .errors import ConfChangeError
from .quorum import JointConfig
from .tracker import Configuration
from .types import INVALID_ID, ConfChangeSingle, ConfChangeType, ConfChangeV2, ConfState


class _Draft:
    """A configuration being changed, as sets."""

    __slots__ = ("auto_leave", "incoming", "learners", "learners_next", "outgoing")

    def __init__(self, conf: Configuration) -> None:
        self.incoming = set(conf.voters.incoming)
        self.outgoing = set(conf.voters.outgoing)
        self.learners = set(conf.learners)
        self.learners_next = set(conf.learners_next)
        self.auto_leave = conf.auto_leave

    def apply(self, changes: list[ConfChangeSingle]) -> None:
        for change in changes:
            if change.node_id != INVALID_ID:
                _STEP[change.change_type](self, change.node_id)
        if not self.incoming:
            raise ConfChangeError("removed all voters")

    def make_voter(self, node_id: int) -> None:
        self.incoming.add(node_id)
        self.learners.discard(node_id)
        self.learners_next.discard(node_id)

    def make_learner(self, node_id: int) -> None:
        self.remove(node_id)
        # A voter of the outgoing half cannot be a learner at the same time; it becomes one when the joint
        # configuration is left.
        (self.learners_next if node_id in self.outgoing else self.learners).add(node_id)

    def remove(self, node_id: int) -> None:
        self.incoming.discard(node_id)
        self.learners.discard(node_id)
        self.learners_next.discard(node_id)

    def finish(self) -> Configuration:
        conf = Configuration(
            JointConfig(self.incoming, self.outgoing),
            tuple(self.learners),
            tuple(self.learners_next),
            self.auto_leave,
        )
        check_configuration(conf)
        return conf


_STEP = {
    ConfChangeType.AddNode: _Draft.make_voter,
    ConfChangeType.AddLearnerNode: _Draft.make_learner,
    ConfChangeType.RemoveNode: _Draft.remove,
}


def check_configuration(conf: Configuration) -> None:
    """Check every rule of a configuration.

    Errors: ConfChangeError with the rule that is broken.
    """
    voters = conf.voters
    for node_id in conf.learners:
        if node_id in voters:
            raise ConfChangeError(f"{node_id} is both learner and voter")
    for node_id in conf.learners_next:
        if node_id not in voters.outgoing:
            raise ConfChangeError(f"{node_id} is a learner to be but not an outgoing voter")
        if node_id in voters.incoming:
            raise ConfChangeError(f"{node_id} is a learner to be and an incoming voter")
    if not voters.outgoing:
        if conf.learners_next:
            raise ConfChangeError("learners to be outside a joint configuration")
        if conf.auto_leave:
            raise ConfChangeError("auto-leave outside a joint configuration")
    elif not voters.incoming:
        raise ConfChangeError("joint configuration without incoming voters")


def simple(conf: Configuration, changes: list[ConfChangeSingle]) -> Configuration:
    """Change the configuration without a joint one.

    Errors: ConfChangeError when joint, when more than one voter changes, or when no voter is left.
    """
    if conf.joint():
        raise ConfChangeError("cannot make a simple change in a joint configuration")
    draft = _Draft(conf)
    draft.apply(changes)
    if len(draft.incoming.symmetric_difference(conf.voters.incoming)) > 1:
        raise ConfChangeError("more than one voter changed without a joint configuration")
    return draft.finish()


def enter_joint(conf: Configuration, auto_leave: bool, changes: list[ConfChangeSingle]) -> Configuration:
    """Make the current voters the outgoing half and apply the changes to the incoming one.

    Errors: ConfChangeError when already joint, or when there are no voters before or after.
    """
    if conf.joint():
        raise ConfChangeError("configuration is already joint")
    if not conf.voters.incoming:
        raise ConfChangeError("cannot make a configuration without voters joint")
    draft = _Draft(conf)
    draft.outgoing = set(draft.incoming)
    draft.apply(changes)
    draft.auto_leave = auto_leave
    return draft.finish()


def leave_joint(conf: Configuration) -> Configuration:
    """Drop the outgoing half; voters that were to become learners do.

    Errors: ConfChangeError when not joint.
    """
    if not conf.joint():
        raise ConfChangeError("cannot leave a configuration that is not joint")
    draft = _Draft(conf)
    draft.learners |= draft.learners_next
    draft.learners_next = set()
    draft.outgoing = set()
    draft.auto_leave = False
    return draft.finish()


def changed(conf: Configuration, change: ConfChangeV2) -> Configuration:
    """The configuration after a change.

    Errors: ConfChangeError when the change does not fit.
    """
    if change.leave_joint():
        return leave_joint(conf)
    auto_leave = change.enter_joint()
    if auto_leave is None:
        return simple(conf, change.changes)
    return enter_joint(conf, auto_leave, change.changes)


def restored(cs: ConfState) -> Configuration:
    """The configuration that a stored one describes.

    Errors: ConfChangeError when it breaks a rule.
    """
    conf = Configuration(
        JointConfig(cs.voters, cs.voters_outgoing), tuple(cs.learners), tuple(cs.learners_next), cs.auto_leave
    )
    check_configuration(conf)
    return conf
