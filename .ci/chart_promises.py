"""Holds rendered manifests against the schemas of Kubernetes, and against what charts/ promises for the values they were rendered with.

Usage: chart_promises.py MANIFESTS VALUES"""

import hashlib
import os
import re
import subprocess
import sys

import kubernetes_validate
import yaml

VERSIONS = ["1.27", "1.37"]
# What the schemas of Kubernetes itself do not know.
FOREIGN = {"ServiceMonitor"}
PROBES = {"startupProbe": "/startedz", "livenessProbe": "/livez", "readinessProbe": "/readyz"}
BRIDGE = "target/debug/mqtt-lambda-bridge"



def merged(under, over):
    """Values over the chart's own, as Helm lays them."""
    both = {key: merged(under[key], value) if isinstance(under.get(key), dict) and isinstance(value, dict) else value for key, value in over.items()}
    return {**under, **both}


path = sys.argv[1]
with open(path) as file:
    objects = [found for found in yaml.safe_load_all(file) if found]
with open("charts/mqtt-lambda-bridge/values.yaml") as own, open(sys.argv[2]) as given:
    chosen = merged(yaml.safe_load(own), yaml.safe_load(given))
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
    promise(hook == ["/usr/local/bin/mqtt-lambda-bridge", "retire", "--if-scaled-down", "--wait"], "the hook does not wait, or retires who comes back")
promise(bool(hook) == chosen["retireOnScaleDown"], "the hook is there, or not there, against the values")

# As many as are wanted, side by side, each with its time to start and to end.
promise(workload["spec"]["replicas"] == chosen["replicas"] and workload["spec"]["podManagementPolicy"] == "Parallel", "other replicas, or one after another")
promise(spec["terminationGracePeriodSeconds"] == chosen["terminationGracePeriodSeconds"] >= 60, "no time to drain")
startup = container["startupProbe"]
promise(startup["failureThreshold"] * startup["periodSeconds"] == chosen["startupSeconds"], "startupSeconds: another time")
promise(values["BRIDGE_MQTT_CLIENT_ID"] == chosen["clientIdPrefix"] + "$(POD_NAME)", "clientIdPrefix: not in the client id")
promise(values.get("AWS_REGION", "") == chosen["aws"]["region"], "aws.region: not the bridge's")
promise(spec["enableServiceLinks"] is False, "services become variables")
for budget in of_kind.get("PodDisruptionBudget", []):
    promise(budget["spec"]["maxUnavailable"] == chosen["podDisruptionBudget"]["maxUnavailable"] > 0, "a node can never be drained")
    promise(budget["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow", "no node can be drained while the broker is away")

# The files are where the configuration and the arguments look for them.
mounts = {mount["mountPath"]: volumes[mount["name"]] for mount in container["volumeMounts"]}


def file_of(name):
    """The volume that holds a file, and the file's name in it."""
    directory, _, file = name.rpartition("/")
    promise(directory in mounts, f"{name}: in no volume")
    return mounts[directory], file


volume, file = file_of(container["args"][container["args"].index("--config") + 1])
config_map = volume["configMap"]["name"]
own = [found for found in of_kind.get("ConfigMap", []) if found["metadata"]["name"] == config_map]
if own:
    promise(own[0]["data"] == {file: chosen["config"]}, "the ConfigMap is not the configuration")
    for name in re.findall(r'"(/etc/bridge/[^"]+)"', chosen["config"]):
        promise("secret" in file_of(name)[0], f"{name}: in no secret")
    rolls = pod["metadata"].get("annotations", {}).get("checksum/config")
    # Without Helm there is none, as nobody would compute it.
    promise(rolls in (None, hashlib.sha256(chosen["config"].encode()).hexdigest()), "another configuration rolls no pod")
else:
    promise(config_map == chosen["existingConfigMap"], "another configuration than the one that is there")
promise(file_of(values["BRIDGE_ADMIN_TOKEN_FILE"])[1] == "token", "no token for the admin endpoint")
secrets = {volume["secret"]["secretName"] for volume in volumes.values() if "secret" in volume}
promise(secrets == {each["secretName"] for each in chosen["secrets"]} | ({chosen["admin"]["tokenSecret"]} - {""}), "other secrets")
# Kubernetes gives their files to this group.
promise(spec["securityContext"]["fsGroup"] == spec["securityContext"]["runAsGroup"] == 65532, "the secrets' group is another")

# Who may ask, and whom it may ask.
for policy in of_kind.get("NetworkPolicy", []):
    rules, tcp, network = policy["spec"], "TCP", chosen["networkPolicy"]
    promise(sorted(rules["policyTypes"]) == ["Egress", "Ingress"], "one way is open")
    comes = network["metricsFrom"] and [{"from": [{"namespaceSelector": network["metricsFrom"]}], "ports": [{"protocol": tcp, "port": "admin"}]}]
    promise(rules["ingress"] == (comes or []), f"others may come in: {rules['ingress']}")
    out = {"ports": [{"protocol": tcp, "port": port} for port in network["egressPorts"]]}
    if network["egressCidrs"]:
        out["to"] = [{"ipBlock": {"cidr": cidr}} for cidr in network["egressCidrs"]]
    names = {"ports": [{"protocol": protocol, "port": 53} for protocol in ("UDP", tcp)]}
    # https://docs.aws.amazon.com/eks/latest/userguide/pod-id-how-it-works.html
    agent = {"ports": [{"protocol": tcp, "port": 80}], "to": [{"ipBlock": {"cidr": "169.254.170.23/32"}}]}
    promise(rules["egress"] == [names, out, agent], f"it may go elsewhere, or not where it must: {rules['egress']}")
(service,) = of_kind["Service"]
promise(service["spec"]["clusterIP"] == "None" and service["spec"]["publishNotReadyAddresses"] is True, "metrics only of who is ready")
for account in of_kind.get("ServiceAccount", []):
    found = account["metadata"].get("annotations") or {}
    promise(found.get("eks.amazonaws.com/role-arn", "") == chosen["aws"]["roleArn"], "aws.roleArn: not the account's")
for monitor in of_kind.get("ServiceMonitor", []):
    (endpoint,) = monitor["spec"]["endpoints"]
    promise(endpoint["path"] == "/metrics", "monitors something else")
    named = {rule["targetLabel"]: rule["replacement"] for rule in endpoint["relabelings"]}
    promise(named["job"] == "bridge", "the alert rules and the dashboard do not know this job")
