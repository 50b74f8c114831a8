"""Why instances do not come up: CloudNativePG's phase never says it, the pods, volumes and Warning events do.

Strongest cause first. A cause that heals by itself within seconds in every normal creation (a pod not yet scheduled
because its volume is being made) counts only after a while, so that it is not reported and taken back.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from postern_common.contracts.reasons import Reason
from postern_watcher.domain.facts import ContainerFacts, PodFacts, VolumeFacts, WarningFacts, instance_pods

SCHEDULING_PATIENCE = 3.0
"""Seconds that a pod may be unschedulable before it is said: a volume appears, a pod of the last attempt goes."""
VOLUME_PATIENCE = 30.0
"""The same where the scheduler only waits for a volume."""
EVENT_LIFETIME = 600.0
"""Seconds after which a Warning about an object without a pod no longer explains anything."""

_IMAGE_REASONS = frozenset(
    {
        "ErrImagePull",
        "ImagePullBackOff",
        "InvalidImageName",
        "ErrImageNeverPull",
        "ImageInspectError",
        "RegistryUnavailable",
    }
)
_IMAGE_EVENT = re.compile(r"Failed to pull image|Error: (ErrImagePull|ImagePullBackOff|InvalidImageName)")
_CLASS_EVENT = re.compile(r'storageclass\.storage\.k8s\.io "?[^"]*"? ?not found', re.IGNORECASE)
_VOLUME_WAIT = re.compile(r"persistentvolumeclaim|volume", re.IGNORECASE)
_CRASHES = 2


@dataclass(frozen=True, slots=True)
class Cause:
    """A reason that a person can act on."""

    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class Symptoms:
    """Everything in sight around a cluster at one moment (``now`` in seconds since the epoch)."""

    pods: tuple[PodFacts, ...]
    volumes: tuple[VolumeFacts, ...]
    warnings: tuple[WarningFacts, ...]
    now: float

    @property
    def troubled(self) -> list[PodFacts]:
        """Pods that should run and do not: instances, and jobs as long as they have not made their instance."""
        made = {pod.name for pod in instance_pods(self.pods)}
        return [
            pod
            for pod in self.pods
            if not pod.ready
            and not pod.deleting
            and not pod.pooler
            and not (pod.job and _instance_of(pod.name) in made)
        ]

    def about(self, name: str, reason: str) -> WarningFacts | None:
        """The Warning of that reason about that object."""
        return next((w for w in self.warnings if w.name == name and w.reason == reason), None)


def find_cause(symptoms: Symptoms) -> Cause | None:
    """The strongest cause in sight, or None."""
    for find in _FINDERS:
        cause = find(symptoms)
        if cause is not None:
            return cause
    return None


def recheck_cause_after(symptoms: Symptoms) -> float | None:
    """Seconds until a cause that is still given patience would count."""
    waits = [
        _patience(pod) - (symptoms.now - pod.unschedulable_since)
        for pod in symptoms.troubled
        if pod.unschedulable is not None
    ]
    return min((wait for wait in waits if wait > 0), default=None)


def _instance_of(job_pod: str) -> str:
    """``orders-1-initdb-x7k2p`` works for the instance ``orders-1``."""
    match = re.match(r"(.+-\d+)-[a-z]", job_pod)
    return match.group(1) if match else job_pod


def _patience(pod: PodFacts) -> float:
    return VOLUME_PATIENCE if _VOLUME_WAIT.search(pod.unschedulable or "") else SCHEDULING_PATIENCE


def _each_container(symptoms: Symptoms) -> list[tuple[PodFacts, ContainerFacts]]:
    return [(pod, container) for pod in symptoms.troubled for container in pod.containers]


def _out_of_memory(symptoms: Symptoms) -> Cause | None:
    for pod, container in _each_container(symptoms):
        if "OOMKilled" in (container.terminated, container.last_terminated):
            text = f"{container.name} of pod {pod.name} was killed because it needs more memory than the plan gives"
            return Cause(Reason.OUT_OF_MEMORY, text)
    return None


def _image_pull_failed(symptoms: Symptoms) -> Cause | None:
    for pod, container in _each_container(symptoms):
        if container.waiting in _IMAGE_REASONS:
            return Cause(Reason.IMAGE_PULL_FAILED, container.message or f"pod {pod.name}: {container.waiting}")
    for pod in symptoms.troubled:
        event = symptoms.about(pod.name, "Failed")
        pulling = not pod.containers or any(container.waiting for container in pod.containers)
        if event is not None and pulling and _IMAGE_EVENT.search(event.message):
            return Cause(Reason.IMAGE_PULL_FAILED, event.message)
    return None


def _storage_class_missing(symptoms: Symptoms) -> Cause | None:
    for volume in symptoms.volumes:
        if volume.bound or volume.deleting:
            continue
        event = symptoms.about(volume.name, "ProvisioningFailed")
        if event is not None and _CLASS_EVENT.search(event.message):
            return Cause(Reason.STORAGE_CLASS_MISSING, f"the storage class of volume {volume.name}: {event.message}")
    return None


def _crash_looping(symptoms: Symptoms) -> Cause | None:
    for pod, container in _each_container(symptoms):
        looping = container.waiting == "CrashLoopBackOff" or container.restarts >= _CRASHES
        if looping and container.waiting not in _IMAGE_REASONS:
            text = container.message or f"container {container.name} ended {container.restarts} times"
            return Cause(Reason.CRASH_LOOPING, f"pod {pod.name}: {text}")
    return None


def _init_failed(symptoms: Symptoms) -> Cause | None:
    for pod, container in _each_container(symptoms):
        if pod.job and container.terminated and container.exit_code:
            text = container.message or f"{container.terminated}, exit code {container.exit_code}"
            return Cause(Reason.INIT_FAILED, f"the {pod.job} job of {_instance_of(pod.name)} failed: {text}")
    return None


def _unschedulable(symptoms: Symptoms) -> Cause | None:
    for pod in symptoms.troubled:
        if pod.unschedulable is not None and symptoms.now - pod.unschedulable_since >= _patience(pod):
            return Cause(Reason.UNSCHEDULABLE, f"no node takes pod {pod.name}: {pod.unschedulable}")
    return None


def _objects_refused(symptoms: Symptoms) -> Cause | None:
    if symptoms.troubled:
        return None
    for event in symptoms.warnings:
        if event.reason == "FailedCreate" and symptoms.now - event.seen_at < EVENT_LIFETIME:
            return Cause(Reason.OBJECTS_NOT_CREATED, event.message)
    return None


_FINDERS: tuple[Callable[[Symptoms], Cause | None], ...] = (
    _out_of_memory,
    _image_pull_failed,
    _storage_class_missing,
    _crash_looping,
    _init_failed,
    _unschedulable,
    _objects_refused,
)
