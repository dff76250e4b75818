"""The manifests are what Kubernetes takes, fit together, run with as little as they need, and name what we have."""

import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from typer.testing import CliRunner

from worker.cli.main import build
from worker.configuration.settings import NAMES, load_settings
from worker.telemetry.catalogue import EVERY

ROOT = Path(__file__).parents[2] / "deploy" / "k8s"
VERSION = "1.33"
OVERLAYS = ["dev", "prod"]
Manifest = dict[str, Any]


def manifests(path: Path) -> list[Manifest]:
    return [one for one in yaml.safe_load_all(path.read_text()) if one]


FILES = sorted(path for path in ROOT.rglob("*.yaml") if path.name != "kustomization.yaml")
WRITTEN = [
    pytest.param(one, id=f"{path.relative_to(ROOT)}:{one['kind']}")
    for path in FILES
    for one in manifests(path)
    if one["kind"] != "ScaledObject"  # KEDA's own kind: its schema is not among those of Kubernetes
]
ALL: list[Manifest] = [one for path in FILES for one in manifests(path)]
WORKLOADS = [one for one in ALL if one["kind"] in ("Deployment", "Job")]
OURS = [one for one in WORKLOADS if one["metadata"]["name"].startswith("coachsync-")]
KUSTOMIZATIONS = [yaml.safe_load(path.read_text()) | {"_at": path.parent} for path in ROOT.rglob("kustomization.yaml")]


def named(one: Manifest) -> str:
    return str(one["metadata"]["name"])


def pod(one: Manifest) -> Manifest:
    spec: Manifest = one["spec"]["template"]["spec"]
    return spec


def container(one: Manifest) -> Manifest:
    (only,) = pod(one)["containers"]
    return dict(only)


@pytest.mark.parametrize("manifest", WRITTEN)
def test_each_manifest_is_what_kubernetes_takes(manifest: Manifest) -> None:
    kubernetes_validate.validate(manifest, VERSION, strict=True)


def test_every_role_is_there() -> None:
    assert {named(one) for one in OURS} == {
        f"coachsync-{role}" for role in ("worker", "loops", "webhooks", "gateway", "migrate")
    }


@pytest.mark.parametrize("one", WORKLOADS, ids=named)
def test_a_selector_finds_the_pods_of_its_own_and_no_others(one: Manifest) -> None:
    labels = one["spec"]["template"]["metadata"]["labels"]
    assert named(one).removeprefix("coachsync-") == labels["app.kubernetes.io/component"]
    if one["kind"] == "Deployment":
        assert one["spec"]["selector"]["matchLabels"] == labels
    assert sum(other["spec"]["template"]["metadata"]["labels"] == labels for other in WORKLOADS) == 1


@pytest.mark.parametrize("one", [one for one in ALL if one["kind"] in ("Service", "PodDisruptionBudget")], ids=named)
def test_a_service_and_a_budget_name_pods_that_are_there(one: Manifest) -> None:
    spec = one["spec"]
    wanted = spec["selector"] if one["kind"] == "Service" else spec["selector"]["matchLabels"]
    (found,) = (other for other in WORKLOADS if other["spec"]["template"]["metadata"]["labels"] == wanted)
    if one["kind"] == "Service":
        ports = {port["name"] for port in container(found)["ports"]}
        assert {port["targetPort"] for port in spec["ports"]} <= ports


@pytest.mark.parametrize("one", [one for one in ALL if one["kind"] == "NetworkPolicy"], ids=named)
def test_a_network_policy_names_components_that_are_there(one: Manifest) -> None:
    there = {other["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/component"] for other in WORKLOADS}
    values = {value for match in one["spec"]["podSelector"].get("matchExpressions", []) for value in match["values"]}
    component = one["spec"]["podSelector"].get("matchLabels", {}).get("app.kubernetes.io/component")
    assert values | ({component} if component else set()) <= there


def test_what_no_policy_lets_through_is_stopped() -> None:
    (closed,) = (one for one in ALL if named(one) == "coachsync-nothing-else")
    assert closed["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


@pytest.mark.parametrize("one", WORKLOADS, ids=named)
def test_a_pod_runs_with_as_little_as_it_needs(one: Manifest) -> None:
    assert pod(one)["automountServiceAccountToken"] is False
    assert pod(one)["securityContext"]["runAsNonRoot"]
    assert pod(one)["securityContext"]["runAsUser"] > 0
    assert pod(one)["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container(one)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    resources = container(one)["resources"]
    assert resources["requests"].keys() == resources["limits"].keys() == {"cpu", "memory"}
    mounted = {mount["name"] for mount in container(one)["volumeMounts"]}
    assert mounted == {volume["name"] for volume in pod(one)["volumes"]}


def commands() -> Iterator[Any]:
    for one in OURS:
        of_pod = container(one)
        yield pytest.param([*of_pod["command"], *of_pod["args"]], id=named(one))
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            if "exec" in of_pod.get(probe, {}):
                yield pytest.param(of_pod[probe]["exec"]["command"], id=f"{named(one)} {probe}")


@pytest.mark.parametrize("words", list(commands()))
def test_each_command_exists_with_its_options(words: list[str]) -> None:
    assert words[0] == "coachsync"
    subcommands = [word for word in words[1:] if re.fullmatch(r"[a-z]+", word)]
    told = CliRunner().invoke(build(), [*subcommands, "--help"])
    assert told.exit_code == 0, told.output
    assert all(word in told.output for word in words if word.startswith("--"))


@pytest.mark.parametrize("one", [one for one in OURS if one["kind"] == "Deployment"], ids=named)
def test_a_process_is_asked_how_it_is_and_has_time_to_end(one: Manifest) -> None:
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        asked = container(one)[probe]
        if "httpGet" in asked:
            assert asked["httpGet"]["path"] in ("/livez", "/readyz")
            assert asked["httpGet"]["port"] in {port["name"] for port in container(one)["ports"]}
        else:
            role = {"webhooks": "deliverer"}.get(named(one)[10:], named(one)[10:])
            question = {"startupProbe": "--startup", "livenessProbe": "--live", "readinessProbe": "--ready"}[probe]
            assert asked["exec"]["command"] == ["coachsync", "health", role, question]
    least = {"coachsync-worker": 60, "coachsync-loops": 30, "coachsync-webhooks": 30, "coachsync-gateway": 30}
    assert pod(one)["terminationGracePeriodSeconds"] >= least[named(one)]


def test_the_settings_are_taken(tmp_path: Path) -> None:
    """With the secrets of the overlay for trials, in files."""
    given = dict(literal.split("=", 1) for one in KUSTOMIZATIONS for each in one.get("configMapGenerator", [])
                 if each["name"] == "coachsync" for literal in each["literals"])  # fmt: skip
    assert set(given) <= {"COACHSYNC_CONFIG", *(f"COACHSYNC_{name.upper()}" for name in NAMES.in_environment)}
    (secrets,) = (each for one in KUSTOMIZATIONS for each in one.get("secretGenerator", []))
    for literal in secrets["literals"]:
        name, _, value = literal.partition("=")
        (tmp_path / name).write_text(value)
        (tmp_path / name).chmod(0o440)
    files = {value.rpartition("/")[2] for name, value in given.items() if name.endswith("_FILE")}
    assert files == {path.name for path in tmp_path.iterdir()}
    environ = {name: value.replace("/run/secrets/coachsync", str(tmp_path)) for name, value in given.items()}
    assert environ["COACHSYNC_CONFIG"] == "/etc/coachsync/coachsync.toml"
    environ["COACHSYNC_CONFIG"] = str(ROOT / "overlays" / "prod" / "coachsync.toml")
    settings = load_settings({"HOME": str(tmp_path), **environ}, cwd=tmp_path)
    assert "@postgres:5432/" in settings.database_url.get_secret_value()
    mounts = {mount["mountPath"] for one in OURS for mount in container(one)["volumeMounts"]}
    assert mounts == {"/var/lib/coachsync", "/tmp", "/run/secrets/coachsync", "/etc/coachsync"}  # noqa: S108 - of the pod


def test_images_have_versions() -> None:
    ours = [image for one in KUSTOMIZATIONS for image in one.get("images", [])]
    assert {image["name"] for image in ours} == {"coachsync"}
    assert all(str(image["newTag"]) not in ("", "latest") for image in ours)
    version = tomllib.loads((ROOT.parents[1] / "pyproject.toml").read_text())["project"]["version"]
    assert version in {str(image["newTag"]) for image in ours}
    others = {container(one)["image"] for one in WORKLOADS} - {"coachsync"}
    assert all(re.search(r":\d+(\.\d+)*-alpine$", image) for image in others)


def test_every_file_is_part_of_a_kustomization() -> None:
    used = {one["_at"] / name for one in KUSTOMIZATIONS for name in (*one["resources"], *one.get("components", []))}
    assert {path.resolve() for path in FILES} <= {path.resolve() for path in used}
    assert all(path.exists() for path in used)


def test_workers_are_scaled_by_metrics_that_are_exported() -> None:
    (scaled,) = (one for one in ALL if one["kind"] == "ScaledObject")
    assert scaled["spec"]["scaleTargetRef"]["name"] in {named(one) for one in OURS}
    (target,) = (one for one in OURS if named(one) == scaled["spec"]["scaleTargetRef"]["name"])
    assert "replicas" not in target["spec"], "or each apply would set them back"
    exported = {name: metric for metric in EVERY for name in metric.samples}
    for trigger in scaled["spec"]["triggers"]:
        query = trigger["metadata"]["query"]
        asked = re.findall(r"coachsync_\w+", query)
        assert asked
        assert all(name in exported and "remote" in exported[name].labels for name in asked)
        assert re.fullmatch(r"\d+", trigger["metadata"]["threshold"])


def test_only_what_a_worker_more_could_send_asks_for_one(tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not on this machine")
    (scaled,) = (one for one in ALL if one["kind"] == "ScaledObject")
    queries = {trigger["name"]: trigger["metadata"]["query"] for trigger in scaled["spec"]["triggers"]}
    held = {
        "quarantine": 'coachsync_remote_quarantined{remote="quarantine"}',
        "cooldown": 'coachsync_cooldown_seconds{remote="cooldown"}',
        "used": 'coachsync_limit_used_ratio{remote="used",window="1s"}',
        "asked": 'coachsync_remote_paused_seconds{remote="asked",lane="every"}',
        "paused": 'coachsync_remote_halted{remote="paused",lane="every"}',
    }
    series = {**dict.fromkeys(held.values(), "1x5")}
    for remote, due in (("open", 7), *((name, 1000) for name in held)):
        series[f'coachsync_jobs_due{{remote="{remote}",lane="interactive"}}'] = f"{due}x5"
        series[f'coachsync_oldest_due_seconds{{remote="{remote}",lane="interactive"}}'] = f"{due}x5"
    expected = [{"expr": query, "eval_time": "3m", "exp_samples": [{"value": 7}]} for query in queries.values()]
    inputs = [{"series": name, "values": values} for name, values in series.items()]
    tests = {"tests": [{"interval": "1m", "input_series": inputs, "promql_expr_test": expected}]}
    (tmp_path / "tests.yml").write_text(yaml.safe_dump(tests))
    done = subprocess.run(
        [promtool, "test", "rules", str(tmp_path / "tests.yml")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_overlay_renders_to_what_kubernetes_takes(overlay: str) -> None:
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("kubectl is not on this machine")
    done = subprocess.run(
        [kubectl, "kustomize", str(ROOT / "overlays" / overlay)], capture_output=True, text=True, check=True
    )
    rendered = [one for one in yaml.safe_load_all(done.stdout) if one]
    for one in rendered:
        if one["kind"] != "ScaledObject":
            kubernetes_validate.validate(one, VERSION, strict=True)
    images = {container(one)["image"] for one in rendered if one["kind"] in ("Deployment", "Job")}
    assert all(":" in image for image in images)
    assert (any(one["kind"] == "ScaledObject" for one in rendered)) is (overlay == "prod")
    assert any(one["kind"] == "Secret" for one in rendered) is (overlay == "dev")
