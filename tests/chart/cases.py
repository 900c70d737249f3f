"""Values that every object test goes through, by what they stand for."""

from __future__ import annotations

from typing import Any

from tests.chart.rendering import FUNCTIONS

CONTROLLERS = ("traefik", "haproxy-ingress", "haproxytech", "nginx-f5", "nginx", "none")
EXTERNAL: dict[str, Any] = {
    "postgresql": {"enabled": False, "password": "", "functionsPassword": ""},
    "redis": {"enabled": False, "password": ""},
    "externalDatabase": {
        "url": "postgresql://functions:secret@db.example/kvcast?sslmode=verify-full",
        "migrationUrl": "postgresql://owner:secret@db.example/kvcast?sslmode=verify-full",
    },
    "externalRedis": {"url": "rediss://:secret@cache.example:6380/0"},
}
AUTHORITIES: dict[str, Any] = {
    **EXTERNAL,
    "externalDatabase": {**EXTERNAL["externalDatabase"], "ca": {"secret": "ours", "key": "root.pem"}},
    "externalRedis": {**EXTERNAL["externalRedis"], "ca": {"secret": "ours"}},
}
EXISTING_SECRET: dict[str, Any] = {
    "auth": {"adminToken": "", "existingSecret": "ours"},
    "postgresql": {"password": "", "functionsPassword": ""},
    "redis": {"password": ""},
}
ROUTE: dict[str, Any] = {
    "ingress": {"enabled": False},
    "httpRoute": {
        "enabled": True, "hostnames": ["kvcast.example.org"], "parentRefs": [{"name": "main", "namespace": "gateways"}],
    },
}
CONNECTIONS_TRIGGER = {
    "type": "prometheus",
    "metadata": {
        "serverAddress": "http://prometheus.monitoring:9090",
        "query": 'sum(kvcast_connections{namespace="kvcast"})', "threshold": "2000",
    },
}


def each(values: dict[str, Any]) -> dict[str, Any]:
    """The same for write, read and push."""
    return dict.fromkeys(FUNCTIONS, values)


KEDA = each({"autoscaling": {"enabled": False}, "keda": {"enabled": True}})
EVERYTHING: dict[str, Any] = {
    "fullnameOverride": "prices",
    "commonLabels": {"team": "markets", "cost-centre": "4711"},
    "image": {"repository": "registry.example:5000/kvcast", "digest": "sha256:" + "a" * 64, "pullSecrets": ["pull"]},
    "settings": {"KVCAST_MAX_KEYS": 10_000_000, "KVCAST_WRITE_LIMIT": "100 per second", "KVCAST_SWEEP_SECONDS": 0.5},
    "trustedHops": 2,
    **each(
        {
            "workers": 2, "preStopSeconds": 30, "service": {"type": "NodePort", "annotations": {"a.example/b": "c"}},
            "autoscaling": {"metrics": [{"type": "Resource", "resource": {
                "name": "memory", "target": {"type": "Utilization", "averageUtilization": 80}}}],
                "behavior": {"scaleUp": {"stabilizationWindowSeconds": 10}}},
            "pdb": {"minAvailable": "50%", "maxUnavailable": None},
            "probes": {"startup": {"failureThreshold": 120}, "liveness": {"tcpSocket": {"port": "http"}}},
            "env": [{"name": "TZ", "value": "UTC"}],
            "extraVolumes": [{"name": "authority", "configMap": {"name": "authority"}}],
            "extraVolumeMounts": [{"name": "authority", "mountPath": "/etc/authority", "readOnly": True}],
            "serviceAccount": {"annotations": {"cloud.example/role": "kvcast"}},
            "podAnnotations": {"a.example/pod": "yes"}, "podLabels": {"mesh": "out"},
            "nodeSelector": {"disk": "fast"}, "tolerations": [{"key": "spot", "operator": "Exists"}],
            "affinity": {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}},
            "topologySpread": {"zone": "DoNotSchedule"}, "priorityClassName": "high",
        }
    ),
    "postgresql": {
        "parameters": {"shared_buffers": "1GB", "work_mem": 16384, "jit": False}, "maxConnections": 400,
        "persistence": {"size": "100Gi", "storageClass": "fast"}, "probes": {"startup": {"failureThreshold": 3600}},
        "nodeSelector": {"disk": "fast"},
    },
    "redis": {"persistence": {"size": "5Gi", "storageClass": ""}, "probes": {"liveness": {"periodSeconds": 30}}},
    "backup": {
        "enabled": True, "image": {"repository": "postgres", "tag": "18"}, "nodeSelector": {"disk": "fast"},
        "persistence": {"existingClaim": "elsewhere"},
    },
    "ingress": {
        "host": "prices.example.org", "className": "own", "annotations": {"a.example/b": "c"},
        "tls": {"enabled": True, "secretName": "prices-tls"},
    },
    "extraObjects": [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "{{ .Release.Name }}-yaml"}, "data": {"a": "b"}},
        'apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ include "kvcast.fullname" . }}-text\n',
    ],
}
MONITORING: dict[str, Any] = {
    "monitoring": {
        "podMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
        "prometheusRule": {
            "enabled": True, "labels": {"release": "prometheus"}, "runbookUrl": "https://docs.example/runbook.md",
        },
        "dashboard": {"enabled": True},
    }
}
ASKING_KUBERNETES: dict[str, Any] = {
    "read": {"clusterView": {"enabled": True}}, "push": {"deletionCost": {"enabled": True}},
}
CASES: dict[str, dict[str, Any]] = {
    "default": {},
    "an existing secret": EXISTING_SECRET,
    "external stores": EXTERNAL,
    "authorities of ours": AUTHORITIES,
    "backup under an authority of ours": {**AUTHORITIES, "backup": {"enabled": True}},
    "an external database": {
        "postgresql": EXTERNAL["postgresql"], "externalDatabase": {"url": "postgresql://u:p@db.example/kvcast"},
    },
    "one replica": each({"autoscaling": {"enabled": False}}),
    "three replicas": each({"autoscaling": {"enabled": False}, "replicas": 3}),
    "KEDA": KEDA,
    "KEDA by connections": {"push": {**KEDA["push"], "keda": {"enabled": True, "triggers": [CONNECTIONS_TRIGGER]}}},
    "connections for each pod": {"push": {"autoscaling": {"targetConnectionsPerPod": 5000}}},
    "no PDB": each({"pdb": {"enabled": False}}),
    **{f"ingress {name}": {"ingress": {"controller": name, "host": "kvcast.example.org"}} for name in CONTROLLERS},
    "no affinity": {"ingress": {"affinity": {"enabled": False}}},
    "no ingress": {"ingress": {"enabled": False}, **each({"service": {"type": "LoadBalancer"}})},
    "a route": ROUTE,
    "a sticky route": {**ROUTE, "httpRoute": {**ROUTE["httpRoute"], "sessionPersistence": True}},
    "asking Kubernetes": ASKING_KUBERNETES,
    "accounts of ours": {**ASKING_KUBERNETES, "read": {
        "clusterView": {"enabled": True}, "serviceAccount": {"name": "ours"}}},
    "monitoring": MONITORING,
    "backup": {"backup": {"enabled": True}},
    "backup of an external database": {**EXTERNAL, "backup": {"enabled": True}},
    "no network policy": {"networkPolicy": {"enabled": False}},
    "nobody may call": {"networkPolicy": {"ingressFrom": [], "monitoringFrom": []}},
    "nothing is kept": {store: {"persistence": {"enabled": False}} for store in ("postgresql", "redis")},
    "everything": EVERYTHING,
}
