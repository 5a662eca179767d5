"""The alert rules, as Prometheus' own tool sees them: they are valid, and fire when they should."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from mts1b.config import load_settings
from mts1b.deploy.observability import write_observability

PROMTOOL = shutil.which("promtool")

SUBMITTED = "service='oms', operation='broker_submit'"

FIRING = {
    "rule_files": ["rules.yml"],
    "evaluation_interval": "15s",
    "tests": [
        {
            "interval": "15s",
            "input_series": [
                {"series": 'up{job="mts1b", service="oms"}', "values": "1 1 0x30"},
                {"series": 'postgres_pool_waiting{pool="primary", service="oms"}', "values": "0 3x60"},
                *(
                    {
                        "series": f"mts_operation_seconds_bucket{{{SUBMITTED}, le='{le}'}}",
                        "values": f"0+{step}x60",
                    }
                    for le, step in (("0.02", 90), ("0.05", 100), ("+Inf", 100))
                ),
            ],
            "alert_rule_test": [
                {"eval_time": "1m", "alertname": "MtsServiceDown", "exp_alerts": []},
                {
                    "eval_time": "3m",
                    "alertname": "MtsServiceDown",
                    "exp_alerts": [
                        {
                            "exp_labels": {"severity": "critical", "job": "mts1b", "service": "oms"},
                            "exp_annotations": {"summary": "oms shows no metrics"},
                        }
                    ],
                },
                {
                    "eval_time": "10m",
                    "alertname": "MtsPoolWaiting",
                    "exp_alerts": [
                        {
                            "exp_labels": {"severity": "warning", "pool": "primary", "service": "oms"},
                            "exp_annotations": {
                                "summary": "3 callers of oms wait for a connection: increase db.primary.pool_size"
                            },
                        }
                    ],
                },
                {
                    "eval_time": "12m",
                    "alertname": "MtsStepSlow",
                    "exp_alerts": [
                        {
                            "exp_labels": {"severity": "warning", "service": "oms", "operation": "broker_submit"},
                            "exp_annotations": {"summary": "Broker submit: p99 is 47ms, the target 20 ms"},
                        }
                    ],
                },
            ],
        }
    ],
}


@pytest.mark.skipif(PROMTOOL is None, reason="no promtool here (Debian: apt-get install prometheus)")
def test_promtool_agrees_and_rules_fire_when_they_should(tmp_path: Path) -> None:
    write_observability(load_settings(data_dir=tmp_path), tmp_path)
    folder = tmp_path / "prometheus"
    (folder / "firing.yml").write_text(yaml.safe_dump(FIRING))
    for words in (
        ["check", "config", "prometheus.yml"],
        ["check", "rules", "rules.yml"],
        ["test", "rules", "firing.yml"],
    ):
        done = subprocess.run([str(PROMTOOL), *words], cwd=folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
