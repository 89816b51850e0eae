"""What a worker has to say, in main's log and in the name that main knows."""

from __future__ import annotations

from ..ipc.messages import LogLine
from ..ipc.voices import Voice
from .records import WorkerRecord


class WorkerVoice(Voice):
    """One worker's."""

    def answer_log_line(self, worker: WorkerRecord, message: LogLine) -> None:
        """A worker's line. PeerViolation."""
        self.speaker.client = worker.remote.ip
        self.speaker.user = worker.tunnel.username if worker.tunnel else ""
        self.say(message)
