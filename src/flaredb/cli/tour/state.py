"""What the parts of a tour share."""

from __future__ import annotations

from dataclasses import dataclass, field

from flaredb.cli.local_cluster import LocalCluster
from flaredb.cli.official_client import RawClient
from flaredb.cli.probe import Probe
from flaredb.cli.tour.clients import TourClients
from flaredb.cli.tour.report import TourReport
from flaredb.model.errors import FlareDBError


class TourFailed(FlareDBError):
    """Something is not as it must be; the message says what."""


@dataclass(slots=True)
class Tour:
    """A tour under way. Invariant: ``expected`` holds every acknowledged write."""

    cluster: LocalCluster
    clients: TourClients
    probe: Probe
    report: TourReport
    expected: dict[bytes, bytes] = field(default_factory=dict)

    @property
    def client(self) -> RawClient:
        """The client that does the work."""
        return self.clients.first
