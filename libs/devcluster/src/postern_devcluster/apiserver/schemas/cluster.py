"""The CloudNativePG Cluster, as far as it is used here: our own compact form of its fields, bounds and defaults.

Parts nobody here looks into (affinity terms, probes, security contexts, …) are taken as they come.
"""

from postern_devcluster.apiserver.schema import (
    ANY,
    BOOLEAN,
    INTEGER,
    QUANTITY,
    STRING,
    Node,
    boolean,
    integer,
    keyed,
    mapping,
    open_struct,
    string,
    struct,
)
from postern_devcluster.apiserver.schemas.builtin import CONDITIONS

_NAMED = struct({"name": STRING}, required=("name",))
_SECRET_KEY = struct({"name": STRING, "key": STRING, "optional": BOOLEAN}, required=("key",))
_SECRET_KEYS = [struct({"name": STRING, "key": STRING}, required=("key", "name"))]
_REFS = {"secretRefs": _SECRET_KEYS, "configMapRefs": _SECRET_KEYS}
_RESOURCES = {
    "claims": keyed(struct({"name": STRING, "request": STRING}, required=("name",)), "name"),
    "limits": mapping(QUANTITY),
    "requests": mapping(QUANTITY),
}
_STORAGE = {
    "size": STRING,
    "storageClass": STRING,
    "resizeInUseVolumes": boolean(default=True),
    "pvcTemplate": ANY,
}
_METADATA_PARTS = {"labels": mapping(), "annotations": mapping(), "name": STRING}
_TERMS: dict[str, list[Node]] = {
    "preferredDuringSchedulingIgnoredDuringExecution": [],
    "requiredDuringSchedulingIgnoredDuringExecution": [],
}

_INITDB = {
    "database": STRING,
    "owner": STRING,
    "secret": _NAMED,
    "options": [STRING],
    "dataChecksums": BOOLEAN,
    "encoding": STRING,
    "locale": STRING,
    "localeCollate": STRING,
    "localeCType": STRING,
    "localeProvider": STRING,
    "icuLocale": STRING,
    "icuRules": STRING,
    "builtinLocale": STRING,
    "walSegmentSize": integer(minimum=1, maximum=1024),
    "postInitSQL": [STRING],
    "postInitApplicationSQL": [STRING],
    "postInitTemplateSQL": [STRING],
    "postInitSQLRefs": _REFS,
    "postInitApplicationSQLRefs": _REFS,
    "postInitTemplateSQLRefs": _REFS,
    "import": ANY,
}
_RECOVERY = {
    "backup": struct({"name": STRING, "endpointCA": _SECRET_KEY}, required=("name",)),
    "source": STRING,
    "volumeSnapshots": ANY,
    "recoveryTarget": {
        "backupID": STRING,
        "targetTLI": STRING,
        "targetXID": STRING,
        "targetName": STRING,
        "targetLSN": STRING,
        "targetTime": STRING,
        "targetImmediate": BOOLEAN,
        "exclusive": BOOLEAN,
    },
    "database": STRING,
    "owner": STRING,
    "secret": _NAMED,
}
_BASEBACKUP = struct(
    {"source": string(min_length=1), "database": STRING, "owner": STRING, "secret": _NAMED}, required=("source",)
)

_POSTGRESQL = {
    "parameters": mapping(),
    "pg_hba": [STRING],
    "pg_ident": [STRING],
    "shared_preload_libraries": [STRING],
    "enableAlterSystem": BOOLEAN,
    "promotionTimeout": INTEGER,
    "extensions": keyed(open_struct({"name": STRING}), "name"),
    "ldap": ANY,
    "syncReplicaElectionConstraint": struct(
        {"enabled": BOOLEAN, "nodeLabelsAntiAffinity": [STRING]}, required=("enabled",)
    ),
    "synchronous": struct(
        {
            "method": string(choices=("any", "first")),
            "number": integer(minimum=1),
            "maxStandbyNamesFromCluster": INTEGER,
            "standbyNamesPre": [STRING],
            "standbyNamesPost": [STRING],
            "dataDurability": string(choices=("required", "preferred")),
            "failoverQuorum": BOOLEAN,
        },
        required=("method", "number"),
    ),
}
_ROLE = struct(
    {
        "name": STRING,
        "comment": STRING,
        "ensure": string(default="present", choices=("present", "absent")),
        "passwordSecret": _NAMED,
        "connectionLimit": integer(default=-1),
        "validUntil": STRING,
        "inRoles": [STRING],
        "inherit": boolean(default=True),
        "disablePassword": BOOLEAN,
        "superuser": BOOLEAN,
        "createdb": BOOLEAN,
        "createrole": BOOLEAN,
        "login": BOOLEAN,
        "replication": BOOLEAN,
        "bypassrls": BOOLEAN,
    },
    required=("name",),
)
_PLUGIN = struct(
    {
        "name": STRING,
        "enabled": boolean(default=True),
        "isWALArchiver": boolean(default=False),
        "parameters": mapping(),
    },
    required=("name",),
)

SPEC = struct(
    {
        "description": STRING,
        "instances": integer(default=1, minimum=1),
        "minSyncReplicas": integer(default=0, minimum=0),
        "maxSyncReplicas": integer(default=0, minimum=0),
        "imageName": STRING,
        "imageCatalogRef": struct(
            {"apiGroup": STRING, "kind": STRING, "name": STRING, "major": INTEGER},
            required=("kind", "major", "name"),
            atomic=True,
        ),
        "imagePullPolicy": STRING,
        "imagePullSecrets": [_NAMED],
        "inheritedMetadata": {"labels": mapping(), "annotations": mapping()},
        "postgresUID": integer(default=26),
        "postgresGID": integer(default=26),
        "postgresql": _POSTGRESQL,
        "bootstrap": {"initdb": _INITDB, "recovery": _RECOVERY, "pg_basebackup": _BASEBACKUP},
        "replica": struct(
            {
                "enabled": BOOLEAN,
                "source": string(min_length=1),
                "primary": STRING,
                "self": STRING,
                "promotionToken": STRING,
                "minApplyDelay": STRING,
            },
            required=("source",),
        ),
        "replicationSlots": ANY,
        "superuserSecret": _NAMED,
        "enableSuperuserAccess": boolean(default=False),
        "certificates": {
            "serverCASecret": STRING,
            "serverTLSSecret": STRING,
            "clientCASecret": STRING,
            "replicationTLSSecret": STRING,
            "serverAltDNSNames": [STRING],
        },
        "storage": _STORAGE,
        "walStorage": _STORAGE,
        "tablespaces": [open_struct({"name": STRING, "storage": open_struct(_STORAGE)})],
        "startDelay": integer(default=3600),
        "stopDelay": integer(default=1800),
        "smartShutdownTimeout": integer(default=180),
        "switchoverDelay": integer(default=3600),
        "failoverDelay": integer(default=0),
        "livenessProbeTimeout": INTEGER,
        "probes": ANY,
        "affinity": {
            "enablePodAntiAffinity": BOOLEAN,
            "topologyKey": STRING,
            "podAntiAffinityType": STRING,
            "nodeSelector": mapping(),
            "tolerations": [],
            "nodeAffinity": ANY,
            "additionalPodAffinity": _TERMS,
            "additionalPodAntiAffinity": _TERMS,
        },
        "topologySpreadConstraints": [],
        "resources": _RESOURCES,
        "ephemeralVolumeSource": ANY,
        "ephemeralVolumesSizeLimit": {"shm": QUANTITY, "temporaryData": QUANTITY},
        "priorityClassName": STRING,
        "schedulerName": STRING,
        "primaryUpdateStrategy": string(default="unsupervised", choices=("unsupervised", "supervised")),
        "primaryUpdateMethod": string(default="restart", choices=("switchover", "restart")),
        "primaryLease": ANY,
        "backup": ANY,
        "nodeMaintenanceWindow": {"inProgress": boolean(default=False), "reusePVC": boolean(default=True)},
        "monitoring": {
            "disableDefaultQueries": boolean(default=False),
            "enablePodMonitor": boolean(default=False),
            "customQueriesConfigMap": _SECRET_KEYS,
            "customQueriesSecret": _SECRET_KEYS,
            "metricsQueriesTTL": STRING,
            "tls": {"enabled": boolean(default=False)},
            "podMonitorMetricRelabelings": [],
            "podMonitorRelabelings": [],
        },
        "externalClusters": [open_struct({"name": STRING})],
        "logLevel": string(default="info", choices=("error", "warning", "info", "debug", "trace")),
        "projectedVolumeTemplate": ANY,
        "env": [open_struct({"name": STRING})],
        "envFrom": [],
        "managed": {
            "roles": [_ROLE],
            "services": {
                "disabledDefaultServices": [string(choices=("rw", "r", "ro"))],
                "additional": [open_struct({"selectorType": STRING})],
            },
        },
        "seccompProfile": ANY,
        "podSecurityContext": ANY,
        "securityContext": ANY,
        "serviceAccountName": STRING,
        "serviceAccountTemplate": {"metadata": _METADATA_PARTS},
        "enablePDB": boolean(default=True),
        "plugins": [_PLUGIN],
        "podSelectorRefs": keyed(open_struct({"name": STRING}), "name"),
    },
    required=("instances",),
)
STATUS = open_struct({"conditions": CONDITIONS})
