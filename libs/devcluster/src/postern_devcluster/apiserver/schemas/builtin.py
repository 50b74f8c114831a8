"""Built-in kinds: closed schemas for those that Postern writes, open ones with the list keys for the others."""

from typing import Any

from postern_devcluster.apiserver.schema import (
    ANY,
    BOOLEAN,
    INTEGER,
    QUANTITY,
    STRING,
    integer,
    keyed,
    mapping,
    open_struct,
    string,
    struct,
    unique,
)

CONDITIONS = keyed(open_struct({"type": STRING, "status": STRING}), "type")
LABEL_SELECTOR = struct(
    {
        "matchLabels": mapping(),
        "matchExpressions": [
            struct({"key": STRING, "operator": STRING, "values": [STRING]}, required=("key", "operator"))
        ],
    },
    atomic=True,
)

_PEER = {
    "podSelector": LABEL_SELECTOR,
    "namespaceSelector": LABEL_SELECTOR,
    "ipBlock": struct({"cidr": STRING, "except": [STRING]}, required=("cidr",)),
}
_POLICY_PORT = {"protocol": string(default="TCP"), "port": QUANTITY, "endPort": INTEGER}

_SERVICE_PORT = struct(
    {
        "name": STRING,
        "protocol": string(default="TCP", choices=("TCP", "UDP", "SCTP")),
        "appProtocol": STRING,
        "port": integer(minimum=1, maximum=65535),
        "targetPort": QUANTITY,
        "nodePort": INTEGER,
    },
    required=("port",),
)

_ENV = keyed(open_struct({"name": STRING}), "name")
_CONTAINER = open_struct(
    {
        "name": STRING,
        "env": _ENV,
        "ports": keyed(
            open_struct({"containerPort": INTEGER, "protocol": string(default="TCP")}), "containerPort", "protocol"
        ),
        "volumeMounts": keyed(open_struct({"mountPath": STRING}), "mountPath"),
    }
)
_POD_SPEC = open_struct(
    {
        "containers": keyed(_CONTAINER, "name"),
        "initContainers": keyed(_CONTAINER, "name"),
        "volumes": keyed(open_struct({"name": STRING}), "name"),
        "imagePullSecrets": keyed(open_struct({"name": STRING}), "name"),
        "topologySpreadConstraints": keyed(ANY, "topologyKey", "whenUnsatisfiable"),
    }
)
_TEMPLATE = open_struct({"spec": _POD_SPEC})

CLOSED: dict[str, dict[str, Any]] = {
    "namespaces": {
        "spec": {"finalizers": [STRING]},
        "status": {"phase": STRING, "conditions": CONDITIONS},
    },
    "secrets": {"type": STRING, "immutable": BOOLEAN, "data": mapping(), "stringData": mapping()},
    "configmaps": {"immutable": BOOLEAN, "data": mapping(), "binaryData": mapping()},
    "networkpolicies.networking.k8s.io": {
        "spec": {
            "podSelector": LABEL_SELECTOR,
            "policyTypes": [STRING],
            "ingress": [{"from": [_PEER], "ports": [_POLICY_PORT]}],
            "egress": [{"to": [_PEER], "ports": [_POLICY_PORT]}],
        }
    },
    "resourcequotas": {
        "spec": {"hard": mapping(QUANTITY), "scopes": [STRING], "scopeSelector": ANY},
        "status": {"hard": mapping(QUANTITY), "used": mapping(QUANTITY)},
    },
    "limitranges": {
        "spec": {
            "limits": [
                {
                    "type": STRING,
                    "max": mapping(QUANTITY),
                    "min": mapping(QUANTITY),
                    "default": mapping(QUANTITY),
                    "defaultRequest": mapping(QUANTITY),
                    "maxLimitRequestRatio": mapping(QUANTITY),
                }
            ]
        }
    },
}

OPEN: dict[str, dict[str, Any]] = {
    "pods": {"spec": _POD_SPEC, "status": open_struct({"conditions": CONDITIONS})},
    "services": {
        "spec": open_struct({"ports": keyed(_SERVICE_PORT, "port", "protocol"), "selector": mapping(atomic=True)}),
        "status": open_struct({"conditions": CONDITIONS}),
    },
    "persistentvolumeclaims": {
        "spec": open_struct({"selector": LABEL_SELECTOR}),
        "status": open_struct({"conditions": CONDITIONS}),
    },
    "nodes": {
        "spec": open_struct({"podCIDRs": unique()}),
        "status": open_struct({"conditions": CONDITIONS, "addresses": keyed(ANY, "type")}),
    },
    "jobs.batch": {
        "spec": open_struct({"selector": LABEL_SELECTOR, "template": _TEMPLATE}),
        "status": ANY,
    },
    "deployments.apps": {
        "spec": open_struct({"selector": LABEL_SELECTOR, "template": _TEMPLATE}),
        "status": open_struct({"conditions": CONDITIONS}),
    },
    "poddisruptionbudgets.policy": {
        "spec": open_struct({"selector": LABEL_SELECTOR}),
        "status": open_struct({"conditions": CONDITIONS}),
    },
}
