"""Names of the crash points of this service: fault tests enumerate them and prove that each is reached."""

AFTER_INBOX_COMMIT = "provisioner.after_inbox_commit"
AFTER_NAMESPACE = "provisioner.after_namespace"
AFTER_CLUSTER = "provisioner.after_cluster"
AFTER_NETWORK_POLICY = "provisioner.after_network_policy"
AFTER_POD_MONITOR = "provisioner.after_pod_monitor"
AFTER_SWITCHOVER = "provisioner.after_switchover"
AFTER_APPLY_BEFORE_COMMIT = "provisioner.after_apply_before_commit"
AFTER_DELETE_ANNOTATIONS = "provisioner.after_delete_annotations"
AFTER_DELETE_BEFORE_COMMIT = "provisioner.after_delete_before_commit"

CRASHPOINTS = (
    AFTER_INBOX_COMMIT, AFTER_NAMESPACE, AFTER_CLUSTER, AFTER_NETWORK_POLICY, AFTER_POD_MONITOR, AFTER_SWITCHOVER,
    AFTER_APPLY_BEFORE_COMMIT, AFTER_DELETE_ANNOTATIONS, AFTER_DELETE_BEFORE_COMMIT,
)  # fmt: skip

AFTER_APPLY = {
    "Namespace": AFTER_NAMESPACE,
    "Cluster": AFTER_CLUSTER,
    "NetworkPolicy": AFTER_NETWORK_POLICY,
    "PodMonitor": AFTER_POD_MONITOR,
}
