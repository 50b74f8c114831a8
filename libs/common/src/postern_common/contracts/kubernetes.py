"""Names that the provisioner writes and the watcher reads: labels, annotations, kinds. One module: they cannot part."""

FIELD_MANAGER = "postern-provisioner"
MANAGED_BY = "postern"

LABEL_INSTALLATION = "postern.dev/installation"
LABEL_PROJECT = "postern.dev/project"
LABEL_PROJECT_ID = "postern.dev/project-id"
LABEL_DATABASE = "postern.dev/database"
LABEL_DATABASE_ID = "postern.dev/database-id"

ANNOTATION_GENERATION = "postern.dev/generation"
ANNOTATION_OPERATION_ID = "postern.dev/operation-id"
ANNOTATION_GOAL = "postern.dev/goal"
ANNOTATION_TRACEPARENT = "postern.dev/traceparent"
ANNOTATION_HASH = "postern.dev/hash"
"""SHA-256 over the owned fields of the manifest: the resync compares it before it compares fields."""
ANNOTATION_DEV_ADDRESS = "postern.dev/dev-address"
"""Written by the development cluster's operator on Services: ``host:port`` reachable on this machine (semantics 38)."""

ANNOTATION_RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"
ANNOTATION_RELOADED_AT = "cnpg.io/reloadedAt"
ANNOTATION_HIBERNATION = "cnpg.io/hibernation"
ANNOTATION_VALIDATION = "cnpg.io/validation"

LABEL_CNPG_CLUSTER = "cnpg.io/cluster"
LABEL_CNPG_INSTANCE_ROLE = "cnpg.io/instanceRole"
CONDITION_HIBERNATION = "cnpg.io/hibernation"

CNPG_GROUP = "postgresql.cnpg.io"
CNPG_VERSION = "v1"
CNPG_API_VERSION = "postgresql.cnpg.io/v1"
CLUSTERS = "clusters"

DATABASE_NAME = "app"
"""Database and owner role that every cluster is bootstrapped with; CloudNativePG's own default."""
POSTGRES_PORT = 5432
