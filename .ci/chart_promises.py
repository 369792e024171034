"""Holds rendered manifests, the file that is named, against the schemas of Kubernetes, and against what charts/ promises."""

import os
import subprocess
import sys

import kubernetes_validate
import yaml

VERSIONS = ["1.27", "1.37"]
# What the schemas of Kubernetes itself do not know.
FOREIGN = {"ServiceMonitor"}
PROBES = {"startupProbe": "/startedz", "livenessProbe": "/livez", "readinessProbe": "/readyz"}
BRIDGE = "target/debug/mqtt-lambda-bridge"

path = sys.argv[1]
with open(path) as file:
    objects = [found for found in yaml.safe_load_all(file) if found]
of_kind = {}
for found in objects:
    of_kind.setdefault(found["kind"], []).append(found)


def promise(holds, what):
    if not holds:
        sys.exit(f"error: {path}: {what}")


for found in objects:
    name = f"{found['kind']}/{found['metadata']['name']}"
    if found["kind"] not in FOREIGN:
        for version in VERSIONS:
            try:
                kubernetes_validate.validate(found, version, strict=True)
            except kubernetes_validate.ValidationError as error:
                promise(False, f"{name}: Kubernetes {version}: {'.'.join(map(str, error.path))}: {error.message}")

(workload,) = of_kind["StatefulSet"]
pod = workload["spec"]["template"]
labels, spec = pod["metadata"]["labels"], pod["spec"]
(container,) = spec["containers"]

# What selects pods selects these.
selectors = [workload["spec"]["selector"]["matchLabels"]]
selectors += [found["spec"]["selector"] for found in of_kind["Service"]]
selectors += [found["spec"]["selector"]["matchLabels"] for found in of_kind.get("PodDisruptionBudget", [])]
selectors += [found["spec"]["podSelector"]["matchLabels"] for found in of_kind.get("NetworkPolicy", [])]
for selector in selectors:
    promise(selector and selector.items() <= labels.items(), f"selects other pods: {selector}")
for monitor in of_kind.get("ServiceMonitor", []):
    service = of_kind["Service"][0]
    promise(monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items(), "monitors another service")
    ports = {port["name"] for port in service["spec"]["ports"]}
    promise({endpoint["port"] for endpoint in monitor["spec"]["endpoints"]} <= ports, "monitors a port that the service has not")
promise(workload["spec"]["serviceName"] == of_kind["Service"][0]["metadata"]["name"], "serviceName: another service")

# Nobody's privileges.
promise(spec["securityContext"]["runAsNonRoot"] and spec["securityContext"]["runAsUser"] == 65532, "runs as root")
promise(spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, "no seccomp profile")
context = container["securityContext"]
promise(context["readOnlyRootFilesystem"] is True and context["allowPrivilegeEscalation"] is False, "may escalate or write")
promise(context["capabilities"] == {"drop": ["ALL"]}, "has capabilities")
promise(container["resources"]["requests"] and "memory" in container["resources"]["limits"], "no requests or limits")
image = container["image"]
promise("@sha256:" in image or not image.endswith((":latest", ":")), f"image: {image}")

# Secrets are files of the pod's group, and of nobody else's.
volumes = {volume["name"]: volume for volume in spec["volumes"]}
for volume in volumes.values():
    for source in ("secret", "downwardAPI"):
        if source in volume:
            promise(volume[source].get("defaultMode") == 0o440, f"{volume['name']}: every user may read it")
promise({mount["name"] for mount in container["volumeMounts"]} == volumes.keys(), "volumes and mounts differ")
promise(all(mount["readOnly"] for mount in container["volumeMounts"]), "writes to a volume")
promise(not any("secretKeyRef" in variable.get("valueFrom", {}) for variable in container["env"]), "a secret as a variable")

# The ordinal is the client id, in this order: $(POD_NAME) knows only variables that stand before it.
variables = [variable["name"] for variable in container["env"]]
values = {variable["name"]: variable.get("value") for variable in container["env"]}
promise(variables[0] == "POD_NAME" and values["BRIDGE_MQTT_CLIENT_ID"].endswith("$(POD_NAME)"), "the client id is not the pod's")
ports = {port["name"]: port["containerPort"] for port in container["ports"]}
promise(values["BRIDGE_ADMIN_LISTEN"].endswith(f":{ports['admin']}"), "listens on another port")
for probe, asked in PROBES.items():
    promise(container[probe]["httpGet"] == {"path": asked, "port": "admin"}, f"{probe}: does not ask {asked}")

# Scale-down: the hook, and no more rights than it needs.
hook = container.get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command")
promise(bool(hook) == spec["automountServiceAccountToken"] == bool(of_kind.get("Role")), "the hook without its rights, or the reverse")
if hook:
    (role,), (binding,) = of_kind["Role"], of_kind["RoleBinding"]
    only = {"apiGroups": ["apps"], "resources": ["statefulsets"], "resourceNames": [workload["metadata"]["name"]], "verbs": ["get"]}
    promise(role["rules"] == [only], f"more rights than to see itself: {role['rules']}")
    promise(binding["subjects"][0]["name"] == spec["serviceAccountName"], "the rights are another account's")
    promise(binding["roleRef"]["name"] == role["metadata"]["name"], "another role")
    if os.path.exists(BRIDGE):
        told = subprocess.run([BRIDGE, *hook[1:]], env={"POD_NAME": "x-0"}, capture_output=True, text=True, timeout=60)
        promise(told.returncode == 1 and "not retired" in told.stderr, f"the hook: {told.stderr}")
